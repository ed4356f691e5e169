"""Exits: reaped, told to the supervisor before the kernel forgets them, written to a file, told to the engine."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wherry.linux.steps import step
from wherry_engine.monitor import cgroups
from wherry_engine.monitor.container import Container, Exit
from wherry_engine.monitor.report import report

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor

PATIENCE = 2.0  # seconds that the output may stay open after the exit: another process may hold the pipe


class Exits:
    """Reaps this process's children and finishes containers."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._by_pid: dict[int, Container] = {}
        self._unclaimed: dict[int, Exit] = {}  # of children that a runtime still at work may have made

    def expect(self, container: Container) -> None:
        """This container's process is, or will be, a child of ours."""
        self._by_pid[container.pid] = container

    def unclaimed(self, pid: int) -> Exit | None:
        """The exit of a container's process that ended before we knew it."""
        return self._unclaimed.pop(pid, None)

    def reap(self) -> None:
        """Take every child that has ended."""
        while True:
            try:
                # left a zombie until the supervisor has been told: if we die here, it becomes its child and tells again
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if info is None:
                break
            pid = info.si_pid
            status = info.si_status if info.si_code == os.CLD_EXITED else 128 + info.si_status
            container, process = self._by_pid.get(pid), self._monitor.execs.find(pid)
            if container is not None:
                self.exited(container, Exit(status, time.time_ns()))
            elif process is not None:
                self._monitor.execs.exited(process, Exit(status, time.time_ns()))
            os.waitpid(pid, 0)
            ours = self._monitor.programs.ended(pid, status) or self._monitor.upgrade.ended(pid, status)
            if not ours and container is None and process is None:
                self._unclaimed[pid] = Exit(status, time.time_ns())
        if not self._monitor.programs:
            self._unclaimed.clear()

    def exited(self, container: Container, exit: Exit, *, known: bool = False) -> None:
        """Its first process has ended; `known` if it was the supervisor who told us."""
        if container.exit is not None:
            return
        container.exit = exit
        self._by_pid.pop(container.pid, None)  # the number may come again
        if not known:
            self._monitor.link.tell("exited", id=container.id, status=exit.status, at_ns=exit.at_ns, error=exit.error)
        self.check(container)

    def check(self, container: Container) -> None:
        """Finish the container if its output has ended, or when it has been open for too long."""
        if container.exit is None or container.done is not None:
            return
        if container.open_streams <= 0:
            self.finish(container)
        elif container.deadline is None:
            container.deadline = self._monitor.loop.later(PATIENCE, lambda: self.finish(container))

    def stream_ended(self, container: Container) -> None:
        """One of its outputs has ended and been logged."""
        container.open_streams -= 1
        self.check(container)

    def finish(self, container: Container) -> None:
        """Write the exit file and tell everyone. Once; later calls do nothing."""
        if container.exit is None or container.done is not None:
            return
        if container.deadline is not None:
            container.deadline.cancel()
        exit = container.exit
        container.done = {
            "id": container.id,
            "status": exit.status,
            "at_ns": exit.at_ns,
            "oom_killed": cgroups.oom_kills(container.meta["cgroups"]) > 0,
            "error": exit.error,
        }
        try:
            write(self._monitor.shared.root, container.done)
        except OSError as error:  # the news goes out all the same, and we and the supervisor remember it
            report(f"container {container.id}: no exit file: {error}")
        self._monitor.link.tell("done", id=container.id, exit=container.done)
        self._monitor.clients.tell_all({"event": "exit", "exit": container.done})
        ended, container.ended = container.ended, []
        for call in ended:
            call()


def folder(root: str) -> str:
    """Where the exit files lie."""
    return f"{root}/exits"


def write(root: str, exit: Any) -> None:
    """Write an exit file: whole, or not at all. It needs to survive processes, not the host, and so is not synced."""
    path = f"{folder(root)}/{exit['id']}"
    with step("monitor.exit.write"):
        with open(f"{path}.tmp", "w") as file:
            json.dump(exit, file)
        os.rename(f"{path}.tmp", path)


def remove(root: str, id: str) -> None:
    """Remove an exit file; succeeds if there is none."""
    with step("monitor.exit.remove"), suppress(FileNotFoundError):
        os.unlink(f"{folder(root)}/{id}")


def read_all(root: str) -> dict[str, Any]:
    """Every exit file, by container."""
    found: dict[str, Any] = {}
    for name in os.listdir(folder(root)):
        if name.endswith(".tmp"):
            continue
        with suppress(FileNotFoundError, ValueError):
            with open(f"{folder(root)}/{name}") as file:
                found[name] = json.load(file)
    return found
