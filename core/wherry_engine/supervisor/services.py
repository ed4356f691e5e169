"""Service processes: forked on request, started again whenever they end. What they do is told by a function's name alone.

What was asked for lies in the exec root, so that a monitor that becomes the supervisor goes on with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from wherry.linux.loop import Loop
from wherry.linux.process import die_with_parent, parent_of, set_oom_score
from wherry.linux.steps import Failpoint, arm, step
from wherry_engine.monitor.report import report
from wherry_engine.supervisor.fork import fork

_SHORT_LIFE = 1.0  # seconds: one that fails sooner is started again ever more slowly; one that was killed at once
_MAX_PAUSE = 2.0
_FAILPOINT = 3  # exit status of a service in which one has fired


class Services:
    """The service processes of one exec root, by name."""

    def __init__(self, loop: Loop, root: str, let_go: Callable[[], None]) -> None:
        self._loop, self._folder, self._let_go = loop, f"{root}/services", let_go
        self._wanted: dict[str, dict[str, Any]] = {}  # function, path, arguments, code
        self._pids: dict[int, tuple[str, float]] = {}  # name, since when
        self._failures: dict[str, int] = {}
        self._ending = False

    def resume(self) -> None:
        """Go on with what an earlier supervisor had been asked for: its processes are ours already, or gone."""
        with suppress(FileNotFoundError):
            for file in os.listdir(self._folder):
                name, ending = os.path.splitext(file)
                if ending == ".json":
                    with open(f"{self._folder}/{file}") as text:
                        wanted = json.load(text)
                    pid = wanted.pop("pid")
                    self._wanted[name] = wanted
                    if parent_of(pid) == os.getpid():
                        self._pids[pid] = name, time.monotonic()
                    else:
                        self._retry(name)

    def want(self, name: str, function: str, path: list[str], arguments: list[str], code: list[str]) -> None:
        """Have this one running. One that was started otherwise is replaced. Raises OSError; then all is as it was.

        `code` stands for what it runs: where that differs, so does the process.
        """
        wanted = {"function": function, "path": path, "arguments": arguments, "code": code}
        before = self._wanted.get(name)
        if before == wanted:
            return
        self._wanted[name] = wanted
        self._failures.pop(name, None)
        try:
            if before is None:
                self._start(name)
            else:
                self._kill(name)  # its end starts the new one
        except OSError:
            if before is None:
                del self._wanted[name]
            else:
                self._wanted[name] = before
            raise

    def ended(self, pid: int, status: int) -> bool:
        """A child has ended; False if it was no service."""
        if pid not in self._pids:
            return False
        name, begun = self._pids.pop(pid)
        killed = status == 128 + signal.SIGKILL
        if killed or status == _FAILPOINT:
            arm("")  # the failpoint that has fired there is armed here as well, and fires once, not in each life
        short = time.monotonic() - begun < _SHORT_LIFE and not killed
        self._failures[name] = self._failures.get(name, 0) + 1 if short else 0
        if name in self._wanted and not self._ending:
            report(f"the service process {name} has ended with status {status} and is started again")
            self._start_soon(name)
        return True

    def _start_soon(self, name: str) -> None:
        failures = self._failures[name]
        if failures > 1:
            self._loop.later(min(0.05 * 2 ** (failures - 2), _MAX_PAUSE), lambda: self._retry(name))
        else:
            self._retry(name)

    def _retry(self, name: str) -> None:
        if self._ending:
            return
        try:
            self._start(name)
        except OSError as error:
            report(f"the service process {name} cannot be started: {error}")
            self._failures[name] = self._failures.get(name, 0) + 2
            self._start_soon(name)

    def _start(self, name: str) -> None:
        wanted, parent = self._wanted[name], os.getpid()
        pid = fork("supervisor.service.fork", (), self._let_go)
        if not pid:
            _serve(wanted, parent)
        self._pids[pid] = name, time.monotonic()
        try:
            self._note(name, {**wanted, "pid": pid})
        except OSError:
            del self._pids[pid]
            os.kill(pid, signal.SIGKILL)
            raise

    def _note(self, name: str, known: dict[str, Any]) -> None:
        with step("supervisor.service.note"):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with open(f"{self._folder}/{name}.new", "w") as file:
                json.dump(known, file)
            os.rename(f"{self._folder}/{name}.new", f"{self._folder}/{name}.json")

    def _kill(self, name: str) -> None:
        with step("supervisor.service.kill"):
            for pid, (owner, _) in self._pids.items():
                if owner == name:
                    os.kill(pid, signal.SIGKILL)  # a child that has not been reaped: the number is its own

    def stop(self) -> None:
        """End them all, wait for that, and forget what was asked for."""
        self._ending = True
        for name in self._wanted:
            self._kill(name)
        with step("supervisor.service.end"):
            for pid in self._pids:
                os.waitpid(pid, 0)
            self._pids.clear()
            with suppress(FileNotFoundError):
                for file in os.listdir(self._folder):
                    os.unlink(f"{self._folder}/{file}")
                os.rmdir(self._folder)

    def pids(self) -> dict[str, int]:
        """Those that run."""
        return {name: pid for pid, (name, _) in self._pids.items()}

    def __contains__(self, pid: int) -> bool:
        return pid in self._pids


def _serve(wanted: dict[str, Any], parent: int) -> None:
    """The whole life of a service process; does not return."""
    status = 70
    try:
        die_with_parent(parent)
        set_oom_score(-500)  # many containers depend on it; a lower score is that of those on which all do
        sys.path[:0] = [folder for folder in wanted["path"] if folder not in sys.path]
        sys.dont_write_bytecode = True  # what is installed is not ours to add to
        module, _, function = wanted["function"].partition(":")
        __import__(module)
        getattr(sys.modules[module], function)(wanted["arguments"])
    except Failpoint:
        status = _FAILPOINT
    except BaseException:  # the process's border
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)
