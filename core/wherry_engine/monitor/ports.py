"""Published ports, reserved by bound sockets: a port in use is refused, and a reserved one cannot be taken by others."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable, Iterable, Sequence

from wherry.errors import Conflict, Failed, Unsupported
from wherry_engine.monitor.link import Link
from wherry_engine.monitor.shared import PortRow, Ports

_BATCH = 200  # descriptors in one message
_SHARE = 0.75  # of the limit of open files
_SCTP = 132
ANYWHERE = ("0.0.0.0", "::")


class Reservations:
    """The bound sockets of every owner. The supervisor keeps a copy of each."""

    def __init__(self, ports: Ports, link: Link) -> None:
        self._ports, self._link = ports, link

    def reserve(self, owner: str, rows: Sequence[PortRow], done: Callable[[], None]) -> None:
        """Bind all of these or none. What the owner has already stays its own. Raises Conflict, Failed."""
        mine = self._ports.get(owner, {})
        self._check_room(len({*rows} - mine.keys()))
        made: dict[PortRow, int] = {}
        try:
            for row in rows:
                if row not in mine and row not in made:
                    made[row] = self._bind(row, made)
        except BaseException:
            for fd in made.values():
                os.close(fd)
            raise
        if not made:
            done()
            return
        self._ports[owner] = mine | made
        items = list(made.items())
        for start in range(0, len(items), _BATCH):
            batch = items[start : start + _BATCH]
            last = start + _BATCH >= len(items)
            names = [row for row, _ in batch]
            self._link.tell("ports", done if last else None, [fd for _, fd in batch], owner=owner, rows=names)

    def _bind(self, row: PortRow, made: Iterable[PortRow]) -> int:
        try:
            return _bind(row)
        except Conflict as error:
            protocol, address, port, _ = row
            held = (*made, *(other for rows in self._ports.values() for other in rows))
            if any(p == protocol and n == port and _meet(a, address) for p, a, n, _ in held):
                raise Conflict(f"Bind for {address}:{port} failed: port is already allocated") from error
            raise

    def _check_room(self, more: int) -> None:
        """A port takes a descriptor here and in the supervisor, and so do the streams of containers: a quarter is theirs."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        held, room = sum(map(len, self._ports.values())), int(files * _SHARE)
        if held + more > room:
            raise Failed(
                f"{more} more host ports cannot be published: {held} are, and the limit of {files} open files leaves "
                f"room for {room}; start wherryd with a higher one (ulimit -Hn, LimitNOFILE=)"
            )

    def release(self, owner: str, done: Callable[[], None]) -> None:
        """Let the owner's ports go; the supervisor has let them go, too, when `done` is called."""
        for fd in self._ports.pop(owner, {}).values():
            os.close(fd)
        self._link.tell("free", done, owner=owner)

    def rows(self) -> dict[str, list[PortRow]]:
        """What is reserved, by owner."""
        return {owner: list(rows) for owner, rows in self._ports.items()}

    @property
    def all(self) -> Ports:
        """Everything, with the descriptors."""
        return self._ports


def rows_of(given: Iterable[Sequence[object]]) -> list[PortRow]:
    """Rows as a message carries them."""
    return [(str(p), str(a), int(str(h)), int(str(c))) for p, a, h, c in given]


def _bind(row: PortRow) -> int:
    protocol, address, port, _ = row
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    try:
        sock = socket.socket(family, kind, _SCTP if protocol == "sctp" else 0)
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise Failed("the monitor holds as many ports as its limit of open files allows") from error
        raise Unsupported(f"this kernel cannot reserve {protocol} ports: {error.strerror}") from error
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if (
            protocol == "tcp"
        ):  # else a connection that lingers in TIME_WAIT would refuse us; cleared so that rivals are refused
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        sock.close()
        shown = f"[{address}]" if family == socket.AF_INET6 else address
        text = f"failed to bind host port {shown}:{port}/{protocol}: {_words(error)}"
        raise Conflict(text) if error.errno == errno.EADDRINUSE else Failed(text) from error
    return sock.detach()


def _meet(one: str, other: str) -> bool:
    """Whether what is bound to one of these addresses keeps the other from being bound."""
    return (":" in one) == (":" in other) and (one == other or one in ANYWHERE or other in ANYWHERE)


def _words(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
