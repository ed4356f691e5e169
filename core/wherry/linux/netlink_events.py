"""Netlink's notifications: hearing what others change on this host."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wherry.linux.netlink import messages

NETFILTER = 12
LINK_GROUP, NFTABLES_GROUP = 1, 7  # RTNLGRP_LINK, NFNLGRP_NFTABLES
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1


class Notice(NamedTuple):
    """One notification. `sender` is the port id of the socket that asked for the change, 0 if it was the kernel's own."""

    kind: int
    sender: int
    body: bytes


class Listener:
    """A socket that hears the groups of a protocol, in the network namespace of the thread that made it."""

    def __init__(self, protocol: int, groups: Sequence[int]) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def fileno(self) -> int:
        """Its descriptor, readable when there is something to hear."""
        return self._socket.fileno()

    def read(self) -> list[Notice] | None:
        """All that has come, without waiting. None: some notifications were lost, so anything may have changed."""
        found: list[Notice] = []
        lost = False
        while True:
            try:
                data = self._socket.recv(1 << 17)
            except BlockingIOError:
                return None if lost else found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
            else:
                found += [Notice(kind, sender, body) for kind, _, sender, body in messages(data)]

    def close(self) -> None:
        """Close the socket; may be repeated."""
        self._socket.close()


def own_ports(protocol: int) -> frozenset[int]:
    """The port ids of this process's netlink sockets of a protocol, in the thread's network namespace."""
    mine = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            mine.add(os.stat(f"/proc/self/fd/{name}").st_ino)
        except FileNotFoundError:  # closed meanwhile; the listing's own descriptor among them
            continue
    rows = [row.split() for row in Path("/proc/thread-self/net/netlink").read_text().splitlines()[1:]]
    return frozenset(int(row[2]) for row in rows if int(row[1]) == protocol and int(row[-1]) in mine)
