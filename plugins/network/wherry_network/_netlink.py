"""Connection tracking: flows that must be forgotten because the ports they were made through changed.

A UDP sender that goes on sending keeps its flow alive, and a flow's translation is decided by its first packet alone: a
port published since, or a container gone since, would not count. Layouts are those of linux/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import weakref
from collections.abc import Callable, Collection
from threading import Lock
from typing import NamedTuple

from wherry.linux.netlink import DUMP, NESTED, Connection, Request, attribute, attributes, nest

_NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_*
_ORIGINAL, _REPLY, _ID, _FILTER = 1, 2, 12, 25
_BY_SOURCE, _BY_PROTOCOL, _BY_PORT = 1 << 0, 1 << 3, 1 << 5
_FAMILIES: dict[int, int] = {4: socket.AF_INET, 6: socket.AF_INET6}
_SOURCES: dict[int, int] = {4: 1, 6: 3}  # CTA_IP_V*_SRC; a destination has the next number
_UDP = attribute(1, bytes([socket.IPPROTO_UDP]))
_FEW = 4  # up to here the kernel looks for each port; beyond, it gives all UDP flows once; each time it goes through its whole table, 3 ms


class _Tuple(NamedTuple):
    protocol: int
    source: bytes
    destination: bytes
    destination_port: int


class Flows:
    """The tracked flows of the host, through one socket that stays open.

    Closing a netfilter socket waits until all nftables changes made so far are cleaned up after, 8 to 16 ms.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: Connection | None = None

    def forget_from(self, version: int, ports: Collection[int]) -> None:
        """Forget the UDP flows of IPv4 or IPv6 that came to one of these ports of this host and were not led on."""
        if not ports:
            return
        wanted, local = frozenset(ports), _local_addresses(version)

        def stale(original: _Tuple, reply: _Tuple) -> bool:
            here = original.destination == reply.source and original.destination in local
            return here and original.destination_port in wanted

        if len(wanted) > _FEW:
            self._forget(version, nest(2, _UDP), b"", _BY_PROTOCOL, 0, stale)
            return
        for port in wanted:
            protocol = nest(2, _UDP, attribute(3, struct.pack(">H", port)))
            self._forget(version, protocol, b"", _BY_PROTOCOL | _BY_PORT, 0, stale)

    def forget_to(self, address: str) -> None:
        """Forget the UDP flows that are answered by this address."""
        parsed = ipaddress.ip_address(address)
        reply, flags = b"", 0
        if parsed.version == 4:  # the kernel's filter by an IPv6 address finds all others (seen with 6.18)
            reply, flags = nest(1, attribute(_SOURCES[4], parsed.packed)), _BY_SOURCE
        self._forget(
            parsed.version,
            nest(2, _UDP),
            reply,
            _BY_PROTOCOL,
            flags,
            lambda _, back: back.source == parsed.packed,
        )

    def _forget(
        self,
        version: int,
        original: bytes,
        reply: bytes,
        original_flags: int,
        reply_flags: int,
        stale: Callable[[_Tuple, _Tuple], bool],
    ) -> None:
        """Delete what the kernel finds by these tuples and `stale` confirms: kernels before 5.8 ignore the filter."""
        flags = nest(_FILTER, attribute(1, original_flags), attribute(2, reply_flags))
        question = _head(version) + nest(_ORIGINAL, original) + (nest(_REPLY, reply) if reply else b"") + flags
        with self._lock:
            connection = self._open()
            try:
                connection.execute(_doomed(connection, version, question, stale))
            except OSError:
                self._connection = None  # answers may still be under way in it
                connection.close()
                raise

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(_NETFILTER)
            weakref.finalize(self, self._connection.close)
        return self._connection


def _head(version: int) -> bytes:
    return struct.pack("=BBH", _FAMILIES[version], 0, 0)


def _doomed(
    connection: Connection, version: int, question: bytes, stale: Callable[[_Tuple, _Tuple], bool]
) -> list[Request]:
    """Requests that delete the stale ones of the flows found."""
    doomed = []
    for answer in connection.dump(Request(_GET, DUMP, question, "tracked connections")):
        found = attributes(answer[4:])
        original, reply = _tuple(version, found[_ORIGINAL]), _tuple(version, found[_REPLY])
        if original.protocol == socket.IPPROTO_UDP and stale(original, reply):
            body = _head(version) + attribute(_ORIGINAL | NESTED, found[_ORIGINAL]) + attribute(_ID, found[_ID])
            doomed.append(Request(_DELETE, 0, body, "a tracked connection", (errno.ENOENT,)))
    return doomed


def _tuple(version: int, data: bytes) -> _Tuple:
    parts = attributes(data)
    addresses, protocol = attributes(parts[1]), attributes(parts[2])
    port = int.from_bytes(protocol.get(3, b""), "big")
    source = _SOURCES[version]
    return _Tuple(protocol[1][0], addresses.get(source, b""), addresses.get(source + 1, b""), port)


def _local_addresses(version: int) -> frozenset[bytes]:
    question = Request(
        22, DUMP, struct.pack("=BBBBi", _FAMILIES[version], 0, 0, 0, 0), "list of addresses"
    )  # RTM_GETADDR
    kind = 2 if version == 4 else 1  # IFA_LOCAL, which IPv6 leaves out, or IFA_ADDRESS
    with Connection() as connection:
        return frozenset(attributes(answer[8:]).get(kind, b"") for answer in connection.dump(question))
