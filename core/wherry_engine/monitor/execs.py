"""Execs: further processes in running containers. The runtime makes them and we watch them; their streams are the engine's.

The supervisor holds an exec as it holds a container, with its pid and pidfd, so that its exit code outlives a monitor. A
start that is interrupted by a monitor's death is finished by the supervisor; where that cannot be, it has failed and is not
repeated: nobody knows how far it came, and a user's program never runs twice.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wherry.errors import Conflict, Failed, Invalid, NotFound, Unavailable
from wherry.linux.process import parent_of
from wherry.linux.steps import step
from wherry_engine.monitor.clients import Reply
from wherry_engine.monitor.container import Exit, Meta
from wherry_engine.monitor.report import report
from wherry_engine.monitor.runtime import Runtime
from wherry_engine.monitor.shared import Held

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor

MARK = "exec_of"  # in the meta of an exec, where a container's has none: the container's id


class Exec:
    """One process that has been made, and perhaps has ended since."""

    __slots__ = ("exit", "forgotten", "id", "meta", "pid", "pidfd")

    def __init__(self, id: str, pid: int, meta: Meta, pidfd: int) -> None:
        self.id, self.pid, self.meta, self.pidfd = id, pid, meta, pidfd
        self.exit: Exit | None = None
        self.forgotten = False  # nobody will ask for its exit: its container is gone

    def row(self) -> dict[str, Any]:
        """As engines are told."""
        exit = self.exit
        ended = None if exit is None else {"status": exit.status, "at_ns": exit.at_ns, "error": exit.error}
        return {"id": self.id, "pid": self.pid, "exit": ended, "about": self.meta["about"]}


class Starting:
    """One exec that is being made."""

    def __init__(self, monitor: Monitor, id: str, request: Mapping[str, Any], process: int, reply: Reply) -> None:
        """`process` is a descriptor of the OCI process in JSON, ours from now on."""
        self._monitor, self.id, self._process = monitor, id, process
        self.replies = [reply]
        self._runtime = Runtime(request["runtime"], monitor.shared.root)
        self._console: str = request["console"]
        self._pid = 0
        self._meta: Meta = {MARK: request["container"], "about": request["about"], "cgroups": []}

    def begin(self, stdio: Sequence[int]) -> None:
        """Run the runtime. Raises OSError, with nothing left open."""
        monitor = self._monitor
        arguments = ["exec", "--detach", "--process", f"/proc/{os.getpid()}/fd/{self._process}"]
        arguments += ["--pid-file", pid_file(monitor.work, self.id)]
        if self._console:
            arguments += ["--console-socket", self._console]
        monitor.link.tell("begin", id=self.id, meta=self._meta)
        try:
            monitor.programs.run(
                self._runtime, [*arguments, self._meta[MARK]], self._ended, stdio, step="monitor.exec.spawn"
            )
        except BaseException:
            os.close(self._process)
            monitor.link.tell("forget", id=self.id)
            raise

    def abandon(self) -> Held:
        """This process is no monitor any more: what the next one has to sweep."""
        os.close(self._process)
        return Held(self.id, 0, self._meta, {})

    def _ended(self, status: int, error: str) -> None:
        os.close(self._process)
        del self._monitor.execs.starting[self.id]
        try:
            if status:
                raise Failed(error)
            self._take_over()
        except (Failed, OSError, ValueError) as problem:
            self._undo(Failed(str(problem)))

    def _take_over(self) -> None:
        monitor = self._monitor
        pid = self._pid = _read_pid(monitor, self.id)
        pidfd = -1
        with suppress(ProcessLookupError):  # it has ended already, and been reaped
            pidfd = os.pidfd_open(pid)
        process = Exec(self.id, pid, self._meta, pidfd)
        fds = {"pidfd": pidfd} if pidfd >= 0 else {}
        # not waited for: what is on its way to the supervisor outlives us, descriptors included
        monitor.link.tell("hold", None, list(fds.values()), id=self.id, pid=pid, meta=self._meta, names=list(fds))
        try:
            with step("monitor.exec.pid"):  # not before: who dies in between leaves it to its successor
                os.unlink(pid_file(monitor.work, self.id))
        except OSError:
            _close(process)
            raise
        for reply in self.replies:
            reply.ok(pid)
        monitor.execs.add(process, monitor.exits.unclaimed(pid))

    def _undo(self, problem: Failed) -> None:
        try:
            sweep(self._monitor, self.id, os.getpid(), self._pid)
        except OSError as error:
            report(f"exec {self.id}: {error}")
        self._monitor.link.tell("forget", id=self.id)
        replies, self.replies = self.replies, []
        for reply in replies:
            reply.fail(problem)


class Execs:
    """Every exec of this monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._all: dict[str, Exec] = {}
        self._by_pid: dict[int, Exec] = {}
        self._interrupted: dict[str, Meta] = {}  # starts that died with a monitor, until the engine knows
        self.starting: dict[str, Starting] = {}

    def start(self, request: Mapping[str, Any], fds: list[int], reply: Reply) -> None:
        """Start one, or answer again for one that runs. `fds`: the OCI process, and 0, 1 and 2 unless there is a console."""
        id = request["id"]
        if id in self._all:
            reply.ok(self._all[id].pid)
        elif id in self.starting:
            self.starting[id].replies.append(reply)
        elif id in self._interrupted:
            raise Unavailable(f"the start of exec {id} was interrupted: execute the command once more")
        else:
            self._start(id, request, fds, reply)

    def _start(self, id: str, request: Mapping[str, Any], fds: list[int], reply: Reply) -> None:
        container = self._monitor.containers.get(request["container"])
        if container is None:
            raise NotFound(f"container {request['container']} has no process")
        if container.exit is not None:
            raise Conflict(f"container {container.id} is not running")
        if not fds:
            raise Invalid("an exec needs the description of its process")
        starting = Starting(self._monitor, id, request, os.dup(fds[0]), reply)
        starting.begin(fds[1:])
        self.starting[id] = starting

    def add(self, process: Exec, exit: Exit | None = None) -> None:
        """Watch one more; `exit` if it has ended already."""
        self._all[process.id] = process
        if exit is not None:
            self.exited(process, exit)
        elif process.exit is None:
            self._by_pid[process.pid] = process

    def find(self, pid: int) -> Exec | None:
        """The exec that runs with this pid."""
        return self._by_pid.get(pid)

    def exited(self, process: Exec, exit: Exit, *, known: bool = False) -> None:
        """It has ended; `known` if it was the supervisor who told us."""
        if process.exit is not None:
            return
        process.exit = exit
        self._by_pid.pop(process.pid, None)
        link = self._monitor.link
        if not known:
            link.tell("exited", id=process.id, status=exit.status, at_ns=exit.at_ns, error=exit.error)
        link.tell("done", id=process.id, exit=process.row())
        _close(process)
        self._monitor.clients.tell_all({"event": "exec", "exec": process.row()})
        if process.forgotten:
            self._drop(process)

    def told(self, id: str, exit: Exit) -> None:
        """The supervisor tells of an exit that it has learnt."""
        if id in self._all:
            self.exited(self._all[id], exit, known=True)

    def forget(self, ids: Sequence[str]) -> None:
        """The engine knows how these have ended."""
        for process in [self._all[id] for id in ids if id in self._all]:
            if process.exit is not None:
                self._drop(process)
        for id in [id for id in ids if id in self._interrupted]:
            self._drop_interrupted(id)

    def kill(self, id: str) -> None:
        """End one that runs."""
        process = self._all.get(id)
        if process is not None and process.exit is None:
            with step("monitor.exec.kill"), suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)

    def container_removed(self, id: str) -> None:
        """Nobody will ask for the execs of this container any more."""
        for process in [process for process in self._all.values() if process.meta[MARK] == id]:
            process.forgotten = True
            if process.exit is not None:
                self._drop(process)
        for interrupted in [each for each, meta in self._interrupted.items() if meta[MARK] == id]:
            self._drop_interrupted(interrupted)

    def _drop(self, process: Exec) -> None:
        del self._all[process.id]
        self._monitor.link.tell("forget", id=process.id)

    def _drop_interrupted(self, id: str) -> None:
        del self._interrupted[id]
        self._monitor.link.tell("forget", id=id)

    def rows(self) -> list[dict[str, Any]]:
        """All of them, as engines are told."""
        return [process.row() for process in self._all.values()]

    # --- from a monitor to the next ---

    def adopt(self, entry: Held) -> None:
        """Take one over from a dead monitor."""
        if not entry.pid:
            try:
                sweep(self._monitor, entry.id, os.getppid())
            except OSError as error:
                report(f"exec {entry.id}: {error}")
            self._interrupted[entry.id] = entry.meta
            self._monitor.link.tell("begin", id=entry.id, meta=entry.meta)
            return
        process = Exec(entry.id, entry.pid, entry.meta, entry.fds.get("pidfd", -1))
        if entry.done is None and entry.exit is not None:
            self._all[process.id] = process
            exit = entry.exit
            self._monitor.loop.post(lambda: self.exited(process, exit, known=True))
        else:
            process.exit = entry.exit
            self.add(process)

    def hold(self) -> list[Held]:
        """What the supervisor that this process is about to become has to hold."""
        held = [Held(id, 0, meta, {}) for id, meta in self._interrupted.items()]
        for process in self._all.values():
            fds = {"pidfd": process.pidfd} if process.pidfd >= 0 else {}
            entry = Held(process.id, process.pid, process.meta, fds)
            entry.exit = process.exit
            entry.done = None if process.exit is None else process.row()
            held.append(entry)
        return held


def sweep(monitor: Monitor, id: str, parent: int, pid: int = 0) -> None:
    """End the process that an interrupted start has made, if there is one; `parent` is the process that would reap it."""
    with step("monitor.exec.sweep"):
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = pid or _read_pid(monitor, id)
            pidfd = os.pidfd_open(pid)
            try:
                if parent_of(pid) == parent:  # else the number has come again
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
        for name in (f"{id}.pid", f".{id}.pid"):  # the second is what runc writes before it renames
            with suppress(FileNotFoundError):
                os.unlink(f"{monitor.work}/{name}")


def pid_file(work: str, id: str) -> str:
    """Where the runtime writes an exec's pid."""
    return f"{work}/{id}.pid"


def _read_pid(monitor: Monitor, id: str) -> int:
    with open(pid_file(monitor.work, id)) as file:
        return int(file.read())


def _close(process: Exec) -> None:
    if process.pidfd >= 0:
        os.close(process.pidfd)
        process.pidfd = -1
