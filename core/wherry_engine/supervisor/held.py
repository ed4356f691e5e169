"""What the supervisor holds for the monitors: a copy of every descriptor, and the exits it has learnt. It reads no stream."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wherry.linux.loop import Loop
from wherry.linux.process import UNKNOWN_STATUS, foreign_status, parent_of
from wherry_engine.monitor.clients import close_fds
from wherry_engine.monitor.container import Exit
from wherry_engine.monitor.shared import Held, PortRow, Ports

Told = Callable[[Held], None]
"""Called with an entry whose exit the supervisor itself has learnt."""


class Holdings:
    """Containers and reserved ports, as the monitors have told them."""

    def __init__(self, loop: Loop, held: Iterable[Held], ports: Ports, told: Told) -> None:
        self._loop, self._told = loop, told
        self.containers = {entry.id: entry for entry in held}
        self.ports = ports
        self._by_pid = {entry.pid: entry for entry in self.containers.values() if entry.exit is None}
        self._foreign: dict[int, Held] = {}  # by pidfd: those that are neither ours nor our monitor's to reap

    def watch_foreign(self, monitor: int) -> None:
        """Find the containers that neither we nor our monitor will reap (an earlier supervisor was killed): by pidfd."""
        for entry in self.containers.values():
            pidfd = entry.fds.get("pidfd", -1)
            if entry.exit is None and pidfd >= 0 and parent_of(entry.pid) not in (os.getpid(), monitor):
                self._foreign[pidfd] = entry
                self._loop.watch(pidfd, lambda _, fd=pidfd: self._foreign_ended(fd))  # type: ignore[misc]

    def _foreign_ended(self, pidfd: int) -> None:
        entry = self._foreign.pop(pidfd)
        self._loop.unwatch(pidfd)
        status = foreign_status(entry.pid, pidfd)
        if status is None:
            reason = "the exit status was lost with the process that could have read it"
            self._learn(entry, Exit(UNKNOWN_STATUS, time.time_ns(), reason))
        else:
            self._learn(entry, Exit(status, time.time_ns()))

    def reaped(self, pid: int, status: int) -> bool:
        """A child of ours has ended; False if it was no container's."""
        entry = self._by_pid.get(pid)
        if entry is None:
            return False
        self._learn(entry, Exit(status, time.time_ns()))
        return True

    def _learn(self, entry: Held, exit: Exit) -> None:
        entry.exit = exit
        self._by_pid.pop(entry.pid, None)
        self._told(entry)

    def begun(self) -> list[Held]:
        """Those that a monitor has begun to make and not handed over."""
        return [entry for entry in self.containers.values() if not entry.pid]

    def started(self, entry: Held, pid: int, pidfd: int) -> None:
        """One of these has a process after all, a child of ours."""
        entry.pid, entry.fds = pid, {"pidfd": pidfd}
        self._by_pid[pid] = entry

    def is_held(self, pid: int) -> bool:
        """Whether this is the process of a container that has been handed over."""
        return pid in self._by_pid

    def owns_any(self, cgroups: Iterable[str]) -> bool:
        """Whether one of these folders is a cgroup, or lies below one, of a container that has been handed over."""
        own = {folder for entry in self.containers.values() for folder in entry.meta["cgroups"]}
        return any(cgroup == folder or cgroup.startswith(f"{folder}/") for cgroup in cgroups for folder in own)

    # --- what a monitor tells ---

    def take(self, message: dict[str, Any], fds: list[int]) -> None:
        """Do what the message says."""
        op = message["op"]
        if op == "ports":
            rows: list[PortRow] = [(p, a, h, c) for p, a, h, c in message["rows"]]
            self.ports.setdefault(message["owner"], {}).update(zip(rows, fds, strict=True))
        elif op == "free":
            for fd in self.ports.pop(message["owner"], {}).values():
                os.close(fd)
        elif op == "begin":
            self.containers[message["id"]] = Held(message["id"], 0, message["meta"], {})
        elif op == "hold":
            entry = Held(message["id"], message["pid"], message["meta"], dict(zip(message["names"], fds, strict=True)))
            self.containers[entry.id] = self._by_pid[entry.pid] = entry
        elif message["id"] in self.containers:
            self._change(op, self.containers[message["id"]], message, fds)
        else:  # removed in the meantime
            close_fds(fds)

    def _change(self, op: str, entry: Held, message: dict[str, Any], fds: list[int]) -> None:
        if op == "drop":
            for name in message["names"]:
                if name in entry.fds:
                    os.close(entry.fds.pop(name))
        elif op == "keep":
            entry.fds.update(zip(message["names"], fds, strict=True))
        elif op == "note":
            entry.meta = message["meta"]
        elif op == "exited":
            entry.exit = Exit(message["status"], message["at_ns"], message["error"])
            self._by_pid.pop(entry.pid, None)  # the number may come again
        elif op == "done":
            entry.done = message["exit"]
            self._let_go(entry)
        elif op == "forget":
            self._let_go(entry)
            del self.containers[entry.id]
            if self._by_pid.get(entry.pid) is entry:
                del self._by_pid[entry.pid]

    def _let_go(self, entry: Held) -> None:
        pidfd = entry.fds.get("pidfd", -1)
        if self._foreign.pop(pidfd, None) is not None:
            self._loop.unwatch(pidfd)
        entry.let_go()

    def fds(self) -> Iterator[int]:
        """Every descriptor held."""
        for entry in self.containers.values():
            yield from entry.fds.values()
        for rows in self.ports.values():
            yield from rows.values()
