"""wherry-supervisor: the zygote and subreaper above the monitor. It decides nothing and reads no stream.

It forks monitors and helpers, holds a copy of what a monitor must not take with it, and reaps what a dead monitor leaves.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from wherry.errors import Invalid
from wherry.linux import sockets
from wherry.linux.loop import Loop
from wherry.linux.process import become_subreaper, set_title, status_of
from wherry.linux.steps import arm, step
from wherry_engine.monitor.clients import Client, Clients, Reply, close_fds
from wherry_engine.monitor.main import Monitor
from wherry_engine.monitor.passing import SUPERVISOR, Passed
from wherry_engine.monitor.protocol import BEAT, SUPERVISOR_TITLE, VERSION
from wherry_engine.monitor.report import report
from wherry_engine.monitor.shared import Held, Ports, Shared
from wherry_engine.monitor.upgrade import Upgrade
from wherry_engine.supervisor import strays
from wherry_engine.supervisor.fork import fork
from wherry_engine.supervisor.heartbeat import Heartbeat
from wherry_engine.supervisor.held import Holdings
from wherry_engine.supervisor.jobs import Helpers
from wherry_engine.supervisor.services import Services

_SHORT_LIFE = 0.1  # seconds: less than that is a takeover that fails
_MAX_PAUSE = 2.0


class Supervisor:
    """One supervisor, and the monitors that it forks one after the other."""

    def __init__(
        self, shared: Shared, held: Iterable[Held] = (), ports: Ports | None = None, passed: Passed | None = None
    ) -> None:
        """With nothing held it is the first; else its process was a monitor until its supervisor died.

        `passed` is what this process was under other code, if it was the supervisor already.
        """
        set_title(SUPERVISOR_TITLE)
        become_subreaper()
        self.shared = shared
        self._loop = Loop()
        self._holdings = Holdings(self._loop, held, ports or {}, self._tell_exit)
        self._helpers = Helpers(self._loop, self._let_go, passed.helpers if passed else ())
        self._services = Services(self._loop, shared.root, self._let_go)
        self._clients = Clients(self._loop, shared.supervisor, self._serve, self._helpers.forsake)
        self._monitor = 0
        self._channel: Client | None = None
        self._stopped: Reply | None = None
        self._begun, self._failures, self._generation = 0.0, 0, 0
        self._killed = False  # the last monitor, by SIGKILL
        self._upgrade = Upgrade(self._loop, self._execute)
        self._heartbeat = Heartbeat(self._loop, self._ask_beat, self._monitor_silent)
        self._tasks = (self._helpers, self._services, self._upgrade)  # whose children are ours, besides the monitor
        if passed is not None:
            self._generation = 1
            self._keep_monitor(passed)

    def _keep_monitor(self, passed: Passed) -> None:
        """Go on with the monitor of the old code, which asks nothing of us that we do not understand, or replace it."""
        if not passed.monitor:
            return
        self._monitor = passed.monitor
        self._heartbeat.begin()
        if passed.fds["channel"] >= 0:
            self._channel = Client(self._loop, socket.socket(fileno=passed.fds["channel"]))
            self._loop.watch(passed.fds["channel"], self._from_monitor)
            for message in passed.unsent:
                self._channel.send(message)
        if passed.protocol != VERSION:
            report("the monitor does not speak as this supervisor does, and is replaced")
            self._kill_monitor()

    def run(self) -> Monitor | None:
        """Serve for ever, or until asked to stop (None). Returns in the forked child: the monitor that it is to be."""
        self._holdings.watch_foreign(self._monitor)
        self._loop.watch_children(self._reap)
        self._services.resume()  # first: those that it does not know would be taken for strays
        self._reap()
        if not self._monitor:
            self._clear_up()  # after the monitor that has become this supervisor, and has not waited for all its runtimes
        while self._stopped is None:
            monitor = None if self._monitor else self._start_monitor()
            if monitor is not None:
                return monitor
            self._loop.run()
        self._end()
        return None

    # --- the monitor ---

    def _start_monitor(self) -> Monitor | None:
        self._pause()
        if self._generation or self._holdings.containers:
            arm("")  # a failpoint fires once, not once in each life
        self._generation += 1
        ours, theirs = sockets.pair()
        keep = [theirs.fileno(), *self.shared.fds(), *self._holdings.fds()]
        try:
            pid = fork("supervisor.monitor.fork", keep, self._let_go)
        except OSError as error:  # no memory, no free pid: it may be better soon
            report(f"a monitor cannot be forked: {error}")
            for end in (ours, theirs):
                end.close()
            self._loop.later(_MAX_PAUSE, self._loop.stop)
            return None
        if not pid:
            ours.detach()  # closed with all that is not to be kept
            return Monitor(self.shared, theirs, self._holdings.containers.values(), self._holdings.ports)
        theirs.close()
        for entry in [entry for entry in self._holdings.containers.values() if not entry.pid]:
            del self._holdings.containers[entry.id]  # half created, and this monitor's to sweep
        self._monitor, self._begun = pid, time.monotonic()
        self._channel = Client(self._loop, ours)
        self._loop.watch(ours.fileno(), self._from_monitor)
        self._heartbeat.begin()
        return None

    def _pause(self) -> None:
        """A monitor that fails as soon as it has taken over is restarted ever more slowly; one that was killed at once."""
        short = time.monotonic() - self._begun < _SHORT_LIFE
        self._failures = self._failures + 1 if short and not self._killed else 0
        if self._failures > 3:
            self._loop.later(min(0.05 * 2 ** (self._failures - 4), _MAX_PAUSE), self._loop.stop)
            self._loop.run()

    def _from_monitor(self, _: int) -> None:
        if self._channel is not None:
            self._channel.flush()
            self._read_monitor(self._channel.sock)

    def _read_monitor(self, sock: socket.socket) -> bool:
        """Take one message; False if there is none."""
        try:
            message, fds = sockets.receive(sock)
        except BlockingIOError:
            return False
        if message is None:  # everything has been read; its death is about to be reaped
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            return False
        self._heartbeat.heard()
        if message["op"] != BEAT:
            self._holdings.take(message, fds)
        if self._channel is not None:
            self._channel.send({"done": message["number"]})
        return True

    def _tell_exit(self, entry: Held) -> None:
        if self._channel is not None and entry.exit is not None:
            exit = entry.exit
            self._channel.send({"id": entry.id, "status": exit.status, "at_ns": exit.at_ns, "error": exit.error})

    def _monitor_died(self) -> None:
        self._monitor = 0
        self._heartbeat.end()
        while self._channel is not None and self._read_monitor(self._channel.sock):
            pass  # its last words first: what to hold, who has ended
        if self._stopped is None:
            self._clear_up()
            report("the monitor has died; its successor takes over")
        self._loop.stop()

    def _ask_beat(self) -> None:
        if self._channel is not None:
            self._channel.send({BEAT: True})

    def _monitor_silent(self) -> None:
        report("the monitor does not answer, and is replaced")
        try:
            self._kill_monitor()
        except OSError as error:  # the next beat tries again
            report(f"the monitor cannot be killed: {error}")

    def _kill_monitor(self) -> None:
        with step("supervisor.monitor.kill"):
            os.kill(self._monitor, signal.SIGKILL)

    def _clear_up(self) -> None:
        strays.clear_up(f"{self.shared.root}/work", self._holdings, self._is_at_work)

    def _is_at_work(self, pid: int) -> bool:
        return any(pid in each for each in self._tasks)

    def _reap(self) -> None:
        died = False
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid == self._monitor:
                died, self._killed = True, status_of(code) == 128 + signal.SIGKILL
            elif not any(each.ended(pid, status_of(code)) for each in self._tasks):
                self._holdings.reaped(pid, status_of(code))
        if died:
            self._monitor_died()

    # --- clients ---

    def _serve(self, op: str, arguments: dict[str, Any], fds: list[int], reply: Reply) -> None:
        try:
            if op == "job":
                self._helpers.begin(arguments, fds, reply, arguments["job"])
            elif op == "cancel":
                self._helpers.cancel(reply.client, arguments["job"])
                reply.ok()
            elif op == "service":
                given = (arguments[key] for key in ("name", "function", "path", "arguments", "code"))
                self._services.want(*given)
                reply.ok()
            elif op == "hello":
                hello = {"version": VERSION, "code": self.shared.code, "pid": os.getpid()}
                self._helpers.when_quiet(lambda: reply.ok(hello))
            elif op == "status":
                held = {entry.id: sorted(entry.fds) for entry in self._holdings.containers.values()}
                reply.ok(
                    {"pid": os.getpid(), "monitor": self._monitor, "held": held, "services": self._services.pids()}
                )
            elif op == "upgrade":
                self._upgrade.begin(arguments, self._passed(), reply)
            elif op == "stop":
                self._stop(reply)
            else:
                raise Invalid(f"the supervisor knows no request {op!r}")
        finally:
            close_fds(fds)

    def _passed(self) -> Passed:
        """What other code has to know to go on as this supervisor."""
        channel = self._channel
        held, fd = list(self._holdings.containers.values()), channel.sock.fileno() if channel else -1
        passed = Passed(SUPERVISOR, self.shared, held, self._holdings.ports, fd)
        passed.monitor, passed.helpers = self._monitor, self._helpers.pids
        passed.unsent = list(channel.unsent) if channel else ()
        return passed

    def _execute(self) -> None:
        """Go on as other code, which can serve our state. Returns if that cannot be: then nothing has changed."""
        try:
            self._upgrade.execute(self._passed())
        except OSError as error:
            self._upgrade.refuse(error)

    def _stop(self, reply: Reply) -> None:
        if self._monitor:
            self._kill_monitor()
        else:
            self._loop.stop()
        self._stopped = reply

    def _end(self) -> None:
        """No monitor any more: remove what lies in the exec root, and answer by closing the connection."""
        self._services.stop()
        with step("supervisor.end"):
            for name in ("supervisor.sock", "monitor.sock"):
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.shared.root}/{name}")
            runtimes = [f"runtime/{name}" for name in os.listdir(f"{self.shared.root}/runtime")]
            for name in ("exits", "work", *runtimes, "runtime"):
                with suppress(OSError):  # not empty: whose that is, is not ours to decide
                    os.rmdir(f"{self.shared.root}/{name}")

    def _let_go(self) -> None:
        """In a forked child: close the objects of the parent that hold descriptors."""
        self._loop.close()
        self._clients.close()
        if self._channel is not None:
            self._channel.close()
