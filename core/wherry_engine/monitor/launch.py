"""Creating and starting containers: the runtime does it, this gives it streams and takes the process over."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wherry.errors import Conflict, Failed, WherryError
from wherry.linux.steps import step
from wherry_engine.monitor.clients import Reply
from wherry_engine.monitor.container import Container, Meta
from wherry_engine.monitor.fifo import open_early
from wherry_engine.monitor.progress import SLOTS
from wherry_engine.monitor.report import report
from wherry_engine.monitor.runtime import Runtime
from wherry_engine.monitor.shared import Held
from wherry_engine.monitor.stdio import ContainerStdio

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor


class Creation:
    """One `create` in flight."""

    def __init__(self, monitor: Monitor, id: str, request: Mapping[str, Any], reply: Reply) -> None:
        self._monitor, self.id, self.operation = monitor, id, request["operation"]
        self.replies = [reply]
        self.after: list[Callable[[], None]] = []
        self.pid = 0  # of the runtime
        self._runtime = Runtime(request["runtime"], monitor.shared.root)
        self._pid_file = f"{monitor.work}/{id}.pid"
        tty = bool(request["tty"])
        self.meta: Meta = {
            "operation": self.operation,
            "bundle": request["bundle"],
            "runtime": request["runtime"],
            "tty": tty,
            "stdin_once": bool(request["stdin_once"]),
            "log": request["log"],
            "log_path": request["log_path"],
            "slots": monitor.slots(("tty",) if tty else ("stdout", "stderr")),
            "cgroups": [],
        }
        height, width = request["console_size"]
        self.slots = set(self.meta["slots"].values())
        self._stdio = ContainerStdio(
            monitor.work, monitor.programs.null, tty=tty, stdin=bool(request["stdin"]), size=(height, width)
        )

    def begin(self) -> None:
        """Run the runtime. Raises OSError, with nothing left open."""
        monitor = self._monitor
        console = ["--console-socket", self._stdio.console_path] if self._stdio.console_path else []
        arguments = ["create", "--bundle", self.meta["bundle"], "--pid-file", self._pid_file, *console, self.id]
        monitor.link.tell("begin", id=self.id, meta=self.meta)
        try:
            self.pid = monitor.programs.run(
                self._runtime, arguments, self._ended, self._stdio.theirs, step="monitor.create.spawn"
            )
        except BaseException:
            self._stdio.abandon()
            monitor.link.tell("forget", id=self.id)
            raise

    def _ended(self, status: int, error: str) -> None:
        if status:
            self._undo(Failed(error))
            return
        try:
            self._take_over()
        except (WherryError, OSError) as problem:
            self._unmake(problem)
        else:
            self._over()

    def _over(self) -> None:
        del self._monitor.creating[self.id]
        for call in self.after:
            call()

    def _take_over(self) -> None:
        monitor = self._monitor
        self._stdio.created()
        with step("monitor.create.pid"):
            with open(self._pid_file) as file:
                pid = int(file.read())
            os.unlink(self._pid_file)
        fds = self._stdio.ours
        with suppress(ProcessLookupError):  # it has ended already, and been reaped
            fds["pidfd"] = os.pidfd_open(pid)
        fifo = open_early(self._runtime, self.id)
        if fifo >= 0:
            fds["fifo"] = fifo
        try:
            self.meta["cgroups"] = monitor.hierarchies.of(pid)
        except FileNotFoundError:
            self.meta["cgroups"] = monitor.removals.folders_of(self.meta)
        container = Container(self.id, pid, self.meta, fds)
        self._stdio.ours = {}
        monitor.containers[self.id] = container
        # not waited for: what is on its way to the supervisor outlives us, descriptors included
        monitor.link.tell("hold", None, list(fds.values()), id=self.id, pid=pid, meta=self.meta, names=list(fds))
        for reply in self.replies:
            reply.ok(pid)
        monitor.streams.call(lambda: monitor.streams.adopt(container))
        exit = monitor.exits.unclaimed(pid)
        if exit is None:
            monitor.exits.expect(container)
        else:
            monitor.exits.exited(container, exit)

    def abandon(self) -> Held:
        """This process is no monitor any more: what the next one has to sweep."""
        try:
            self._stdio.abandon()
        except OSError as error:
            report(f"container {self.id}: {error}")
        return Held(self.id, 0, self.meta, {})

    def _unmake(self, problem: Exception) -> None:
        """The runtime has made a container that we cannot take over: it removes it again."""

        def removed(_status: int, _error: str) -> None:
            self._undo(problem)

        try:
            self._monitor.programs.run(
                self._runtime, ["delete", "--force", self.id], removed, step="monitor.create.undo.spawn"
            )
        except OSError as error:  # then it is there until the caller's `delete`, which asks the runtime again
            report(f"container {self.id}: {error}")
            self._fail(problem, self._monitor.removals.sweep_work)

    def _undo(self, problem: Exception) -> None:
        """Nothing of it runs any more: remove what there is, and say why."""
        self._fail(problem, lambda id: self._monitor.removals.sweep(id, self.meta))

    def _fail(self, problem: Exception, sweep: Callable[[str], None]) -> None:
        try:
            self._stdio.abandon()
            sweep(self.id)
        except OSError as error:  # the caller's `delete` tries again
            report(f"container {self.id}: {error}")
        self._monitor.link.tell("forget", id=self.id)
        for reply in self.replies:
            reply.fail(problem)
        self._over()


def create(monitor: Monitor, id: str, request: Mapping[str, Any], reply: Reply) -> None:
    """Create a container's process. The same operation may ask again, and gets the same answer."""
    container, creation = monitor.containers.get(id), monitor.creating.get(id)
    if container is not None and container.meta["operation"] == request["operation"]:
        reply.ok(container.pid)
    elif creation is not None and creation.operation == request["operation"]:
        creation.replies.append(reply)
    elif container is not None or creation is not None or monitor.removals.busy(id):
        raise Conflict(f"container {id} has a process already")
    else:
        creation = Creation(monitor, id, request, reply)
        creation.begin()
        monitor.creating[id] = creation


def free_slots(used: set[int], names: tuple[str, ...]) -> dict[str, int]:
    """Places on the page of progress for streams of these names."""
    free = (number for number in range(SLOTS) if number not in used)
    try:
        return {name: next(free) for name in names}
    except StopIteration:
        raise Failed(f"the monitor serves {SLOTS} streams already") from None
