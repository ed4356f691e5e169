"""Helpers: a process each for one job, forked in a millisecond or two, killed when nobody waits for it any more."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wherry.errors import Failed, Invalid, NotFound, WherryError
from wherry.linux import sockets
from wherry.linux.loop import Loop
from wherry.linux.process import die_with_parent, set_oom_score, set_title
from wherry.linux.steps import Failpoint, arm, step
from wherry_engine.helper.jobs import JOBS
from wherry_engine.monitor.clients import Client, Reply
from wherry_engine.monitor.report import report
from wherry_engine.supervisor.fork import fork

TITLE = "wherry-helper"
_FAILPOINT = 3  # exit status of a helper in which one has fired
PATIENCE = (
    2.0  # seconds that a new engine waits for jobs of an old one: a process in an uninterruptible call may never end
)


class Helpers:
    """The helpers that are at work, each for the client that has asked for it."""

    def __init__(self, loop: Loop, let_go: Callable[[], None], orphans: Iterable[int] = ()) -> None:
        """`orphans` are from before this process became other code: who waits for one has its socket."""
        self._loop, self._let_go = loop, let_go
        self._orphans = set(orphans)
        self._clients: dict[int, tuple[Client, int]] = {}  # by pid: who asked, under which number
        self._abandoned: set[int] = set()
        self._waiting: list[Callable[[], None]] = []

    def begin(self, arguments: dict[str, Any], fds: list[int], reply: Reply, number: int) -> None:
        """Start one. Its first descriptor is the socket for its result. Raises Invalid, NotFound, OSError."""
        if not fds:
            raise Invalid("a job needs a socket for its result")
        if arguments["name"] not in JOBS:
            raise NotFound(f"there is no job {arguments['name']!r}")
        parent = os.getpid()
        pid = fork("supervisor.job.fork", fds, self._let_go)
        if not pid:
            _work(arguments["name"], arguments["arguments"], fds, parent)
        self._clients[pid] = (reply.client, number)
        reply.ok()

    def cancel(self, client: Client, number: int) -> None:
        """Kill a job that this client has asked for under this number; succeeds if it has ended."""
        for pid, asked in self._clients.items():
            if asked == (client, number):
                _kill(pid)

    def forsake(self, client: Client) -> None:
        """The client has gone: nobody waits for its jobs."""
        for pid, (asker, _) in self._clients.items():
            if asker is client:
                self._abandoned.add(pid)
                try:
                    _kill(pid)
                except OSError as error:  # nobody is there to be told
                    report(f"an abandoned helper cannot be killed: {error}")

    def ended(self, pid: int, status: int) -> bool:
        """A child has ended; False if it was no helper."""
        if pid in self._orphans:
            self._orphans.remove(pid)
            return True
        if self._clients.pop(pid, None) is None:
            return False
        if status in (_FAILPOINT, 128 + signal.SIGKILL):
            arm("")  # the failpoint that has fired there is armed here as well, and fires once, not in each helper
        self._abandoned.discard(pid)
        if not self._abandoned:
            self._go_on()
        return True

    def when_quiet(self, call: Callable[[], None]) -> None:
        """Call this when no abandoned job is at work any more, or when the wait for it has been long enough."""
        self._waiting.append(call)
        if self._abandoned:
            self._loop.later(PATIENCE, self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    @property
    def pids(self) -> Sequence[int]:
        """Those at work."""
        return [*self._clients, *self._orphans]

    def __contains__(self, pid: int) -> bool:
        return pid in self._clients or pid in self._orphans


def _kill(pid: int) -> None:
    with step("supervisor.job.kill"):
        os.kill(pid, signal.SIGKILL)  # a child that has not been reaped: the number is its own


def _work(name: str, arguments: dict[str, Any], fds: list[int], parent: int) -> None:
    """The whole life of a helper; does not return."""
    status = 1
    try:
        die_with_parent(parent)
        set_title(TITLE)
        set_oom_score(0)
        result = _result(name, arguments, fds[1:])
        with socket.socket(fileno=fds[0]) as sock:
            sockets.send(sock, result)
        status = _FAILPOINT if "failpoint" in result else 0
    except BaseException:  # the process's border: whoever waits sees the socket's end
        traceback.print_exc()
    finally:
        os._exit(status)


def _result(name: str, arguments: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    try:
        return {"value": JOBS[name](arguments, fds)}
    except WherryError as error:
        return {"error": {"kind": error.kind, "text": error.text}}
    except Failpoint as error:
        return {"error": {"kind": Failed.kind, "text": str(error)}, "failpoint": error.name}
    except OSError as error:
        return {"error": {"kind": Failed.kind, "text": str(error)}}
    except Exception as error:  # a bug of the job, for whoever asked for it
        traceback.print_exc()
        return {"error": {"kind": Failed.kind, "text": f"job {name}: {error!r}"}}
