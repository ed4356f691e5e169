"""What a process of the tree is, written down for other code that goes on with it after execve(2)."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from wherry_engine.monitor.container import Exit
from wherry_engine.monitor.execs import MARK
from wherry_engine.monitor.protocol import FORMAT, VERSION
from wherry_engine.monitor.shared import Attached, Carried, Held, Ports, Shared

SUPERVISOR, MONITOR = "supervisor", "monitor"
_FIELDS = frozenset(
    ("role", "root", "code", "protocol", "fds", "held", "ports", "number", "monitor", "unsent", "helpers")
)
_OF_A_CONTAINER = frozenset(
    ("operation", "bundle", "runtime", "tty", "stdin_once", "log", "log_path", "slots", "cgroups")
)
_OF_AN_EXEC = frozenset((MARK, "about", "cgroups"))


class Passed:
    """One process: values, and the numbers of its descriptors, which stay open and keep their meaning."""

    def __init__(self, role: str, shared: Shared, held: Sequence[Held], ports: Ports, channel: int) -> None:
        """`channel` leads to the other process of the tree; -1 if there is none at the moment."""
        self.role, self.root, self.code = role, shared.root, shared.code
        self.protocol = VERSION  # of the messages in the channel
        self.fds = dict(zip(("supervisor", "monitor", "bin", "progress"), shared.fds(), strict=True))
        self.fds["channel"] = channel
        self.held, self.ports = held, ports
        self.number = 0  # a monitor's: of its last message
        self.monitor = 0  # a supervisor's: the pid of its monitor, 0 if there is none
        self.unsent: Sequence[Any] = ()  # a supervisor's: messages that its monitor has had no room for
        self.helpers: Sequence[int] = ()  # a supervisor's: pids

    def descriptors(self) -> Iterator[int]:
        """Every descriptor that is to stay open."""
        yield from (fd for fd in self.fds.values() if fd >= 0)
        for entry in self.held:
            yield from entry.fds.values()
            if entry.carried is not None:
                yield from (peer.fd for peer in entry.carried.attached)
        for rows in self.ports.values():
            yield from rows.values()

    def memory(self) -> int:
        """A new descriptor of memory that holds this."""
        values = {name: value for name, value in vars(self).items() if name not in ("held", "ports")}
        values["held"] = [_of_held(entry) for entry in self.held]
        values["ports"] = [[owner, *row, fd] for owner, rows in self.ports.items() for row, fd in rows.items()]
        memory = os.memfd_create("state", os.MFD_CLOEXEC)
        view = memoryview(json.dumps({"format": FORMAT, **values}).encode())
        while view:
            view = view[os.write(memory, view) :]
        return memory


def read(memory: int) -> Passed:
    """What lies in this memory, which is closed. Raises ValueError, KeyError or TypeError for what this code cannot serve."""
    with open(memory, "rb") as file:
        file.seek(0)
        given = json.loads(file.read())
    if given.pop("format") != FORMAT:
        raise ValueError("the state is written in a format that this code does not know")
    missing = _FIELDS - given.keys()
    if missing:
        raise ValueError(f"the state lacks {', '.join(sorted(missing))}")
    passed = Passed.__new__(Passed)
    passed.__dict__.update(given)
    passed.held = [_held_of(entry) for entry in given["held"]]
    passed.ports = {}
    for owner, protocol, address, host, container, fd in given["ports"]:
        passed.ports.setdefault(owner, {})[protocol, address, host, container] = fd
    return passed


def examine(passed: Passed) -> None:
    """Raise ValueError, KeyError or TypeError if this code could not go on with that."""
    if passed.role not in (SUPERVISOR, MONITOR):
        raise ValueError(f"this code has no part called {passed.role!r}")
    for fd in (*passed.descriptors(), passed.number, passed.monitor, *passed.helpers):
        int(fd)
    for entry in passed.held:
        missing = (_OF_AN_EXEC if MARK in entry.meta else _OF_A_CONTAINER) - entry.meta.keys()
        if missing:
            raise ValueError(f"{entry.id} lacks {', '.join(sorted(missing))}")


def take(passed: Passed) -> Shared:
    """Make its descriptors ours again, none of which a program that we start may inherit."""
    for fd in passed.descriptors():
        os.set_inheritable(fd, False)
    fds = passed.fds
    supervisor, monitor = (socket.socket(fileno=fds[name]) for name in (SUPERVISOR, MONITOR))
    return Shared(passed.root, passed.code, dict(os.environ), supervisor, monitor, fds["bin"], fds["progress"])


def _of_held(entry: Held) -> dict[str, Any]:
    exit, carried = entry.exit, entry.carried
    return {
        "id": entry.id,
        "pid": entry.pid,
        "meta": entry.meta,
        "fds": entry.fds,
        "exit": exit and [exit.status, exit.at_ns, exit.error],
        "done": entry.done,
        "carried": carried
        and {
            "attached": [
                [peer.fd, list(peer.streams), peer.stdin, peer.half, _text(peer.pending)] for peer in carried.attached
            ],
            "sent": carried.sent,
            "input": _text(carried.input),
            "closing": carried.closing,
        },
    }


def _held_of(given: dict[str, Any]) -> Held:
    entry = Held(given["id"], given["pid"], given["meta"], given["fds"])
    if given["exit"] is not None:
        entry.exit = Exit(*given["exit"])
    entry.done = given["done"]
    carried = given["carried"]
    if carried is not None:
        entry.carried = Carried(
            [_attached_of(row) for row in carried["attached"]],
            carried["sent"],
            base64.b64decode(carried["input"]),
            closing=carried["closing"],
        )
    return entry


def _attached_of(row: Iterable[Any]) -> Attached:
    fd, streams, stdin, half, pending = row
    return Attached(fd, streams, stdin=stdin, half=half, pending=base64.b64decode(pending))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
