"""Netlink by hand, as much as container networks need: many requests in one system call, one answer each.

A library's objects cost more than the kernel's work here (a veth pair with master, address and route takes 5-12 ms
through pyroute2 and about 1 ms this way), and importing it costs a daemon 24 MB. Layouts are those of rtnetlink(7),
linux/if_link.h and linux/if_bridge.h. Everything acts on the network namespace of the calling thread.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextvars import copy_context
from types import TracebackType
from typing import NamedTuple

from wherry.linux.steps import effect

ROUTE = 0
REQUEST, ACK, DUMP = 0x01, 0x04, 0x300
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
NESTED = 0x8000

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _GETROUTE = 16, 17, 18, 20, 24, 25, 26
_IFF_UP = 1
_MAIN_TABLE = 254
# Attributes of a link (IFLA_*).
_MAC, _NAME, _MTU, _MASTER, _LINKINFO, _ALIAS, _AF_SPEC, _NETNS_FD, _EXT_MASK = 1, 3, 4, 10, 18, 20, 26, 28, 29
_INFO_KIND, _INFO_DATA, _SLAVE_KIND, _SLAVE_DATA = 1, 2, 4, 5
_VETH_PEER, _PORT_HAIRPIN, _PORT_ISOLATED, _ADDR_GEN_MODE = 1, 4, 33, 8
_SKIP_STATISTICS = 8


class Request(NamedTuple):
    """One message to the kernel; `what` names it in errors, and the errors in `ignored` count as success."""

    kind: int
    flags: int
    body: bytes
    what: str
    ignored: tuple[int, ...] = ()


class Link(NamedTuple):
    """A network interface. `kind` is the driver's name (bridge, veth, ...), "" for hardware; `master` 0 is none."""

    number: int
    name: str
    kind: str
    alias: str
    master: int
    up: bool
    mac: str


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """One attribute: bytes as they are, a text with its final zero, a number in 32 bits."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, int):
        value = struct.pack("=I", value)
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | NESTED, b"".join(attributes))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by their kind; of several of one kind the last."""
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


class Connection:
    """A netlink socket in the network namespace of the thread that opened it."""

    def __init__(self, protocol: int = ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        # SOL_NETLINK: NETLINK_CAP_ACK, so that errors do not repeat the request, and NETLINK_EXT_ACK, so that they say why.
        for name in (10, 11):
            self._socket.setsockopt(270, name, 1)
        self._socket.bind((0, 0))

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; may be repeated."""
        self._socket.close()

    def execute(self, requests: tuple[Request, ...] | list[Request]) -> None:
        """Send all at once and wait for all answers. Raises OSError for the first that failed; the others are done."""
        if not requests:
            return
        effect("netlink", *(request.what for request in requests))
        self._send(requests, ACK)
        missing, failure = len(requests), None
        while missing:
            for kind, sequence, _, body in self._receive():
                if kind != _ERROR:
                    continue
                missing -= 1
                request, code = requests[sequence - 1], -int.from_bytes(body[:4], "little", signed=True)
                if code and code not in request.ignored and failure is None:
                    failure = _failure(request, code, body)
        if failure is not None:
            raise failure

    def dump(self, request: Request) -> Iterator[bytes]:
        """The bodies of all answers to one question that changes nothing. Raises OSError when the kernel refuses it."""
        self._send([request], 0)
        many = request.flags & DUMP == DUMP
        while True:
            for kind, _, _, body in self._receive():
                if kind in (_ERROR, _DONE):
                    code = -int.from_bytes(body[:4], "little", signed=True)
                    if code and code not in request.ignored:
                        raise _failure(request, code, body)
                    return
                yield body
                if not many:
                    return

    def _send(self, requests: tuple[Request, ...] | list[Request], flags: int) -> None:
        self._socket.send(
            b"".join(
                _HEADER.pack(16 + len(r.body), r.kind, REQUEST | r.flags | flags, sequence, 0) + r.body
                for sequence, r in enumerate(requests, 1)
            )
        )

    def _receive(self) -> list[tuple[int, int, int, bytes]]:
        return messages(self._socket.recv(1 << 17))


def messages(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """(kind, sequence, sender's port id, body) of each message in what a socket received."""
    found, at = [], 0
    while at + 16 <= len(data):
        length, kind, _, sequence, sender = _HEADER.unpack_from(data, at)
        found.append((kind, sequence, sender, data[at + 16 : at + length]))
        at += (length + 3) & ~3
    return found


def execute(*requests: Request) -> None:
    """Carry these out through a connection of their own. Raises OSError for the first that failed; the others are done."""
    with Connection() as connection:
        connection.execute(requests)


def add_bridge(name: str, *, mac: str = "", mtu: int = 0) -> Request:
    """Make a bridge. A given address stays; otherwise it follows the ports that come and go."""
    options = (attribute(_MAC, _mac(mac)) if mac else b"") + (attribute(_MTU, mtu) if mtu else b"")
    kind = nest(_LINKINFO, attribute(_INFO_KIND, "bridge"))
    return Request(_NEWLINK, CREATE | EXCLUSIVE, _link(0, attribute(_NAME, name) + options + kind), f"bridge {name}")


def add_veth(name: str, *, master: int, peer: str, peer_netns: int, peer_mac: str, mtu: int = 0) -> Request:
    """Make a pair: `name` here, a port of the bridge with index `master`, and `peer` in the namespace behind a descriptor.

    Both ends are down: a peer made up is refused with ENOTCONN (its other end is not registered yet).
    """
    size = attribute(_MTU, mtu) if mtu else b""
    far = attribute(_NAME, peer) + attribute(_NETNS_FD, peer_netns) + attribute(_MAC, _mac(peer_mac)) + size
    data = nest(_INFO_DATA, attribute(_VETH_PEER, _link(0, far)))
    body = attribute(_NAME, name) + attribute(_MASTER, master) + size
    body += nest(_LINKINFO, attribute(_INFO_KIND, "veth"), data)
    return Request(_NEWLINK, CREATE | EXCLUSIVE, _link(0, body), f"veth {name} with {peer}")


def set_link(
    link: str | int,
    *,
    up: bool = False,
    alias: str = "",
    master: int | None = None,
    port: bytes = b"",
    quiet: bool = False,
) -> Request:
    """Change an interface, named or by index. `port` is what `bridge_port` gives; `quiet` keeps it from addressing itself."""
    index, body = (link, b"") if isinstance(link, int) else (0, attribute(_NAME, link))
    if alias:
        body += attribute(_ALIAS, alias.encode())
    if master is not None:
        body += attribute(_MASTER, master)
    if quiet:  # IN6_ADDR_GEN_MODE_NONE: no link-local address, no multicast joins
        body += nest(_AF_SPEC, nest(socket.AF_INET6, attribute(_ADDR_GEN_MODE, b"\1")))
    return Request(_NEWLINK, 0, _link(index, body + port, _IFF_UP if up else 0), f"settings of {link}")


def bridge_port(*, hairpin: bool, isolated: bool) -> bytes:
    """Settings of a bridge's port: whether frames may return where they came from, and see other isolated ports."""
    flags = attribute(_PORT_HAIRPIN, bytes([hairpin])) + attribute(_PORT_ISOLATED, bytes([isolated]))
    return nest(_LINKINFO, attribute(_SLAVE_KIND, "bridge"), nest(_SLAVE_DATA, flags))


def settle(link: str | int) -> Request:
    """Have the kernel act on an interface's new carrier now (since 6.8: asking for it does).

    Otherwise a worker does it some milliseconds later, and what is sent until then is dropped.
    """
    index, body = (link, b"") if isinstance(link, int) else (0, attribute(_NAME, link))
    return Request(_GETLINK, 0, _link(index, body + attribute(_EXT_MASK, _SKIP_STATISTICS)), f"state of {link}")


def delete_link(name: str) -> Request:
    """Delete an interface; succeeds if there is none."""
    return Request(_DELLINK, 0, _link(0, attribute(_NAME, name)), f"end of {name}", (errno.ENODEV,))


def add_address(index: int, cidr: str) -> Request:
    """Give an interface an address like 10.0.0.2/24, with its broadcast address."""
    address = ipaddress.ip_interface(cidr)
    body = attribute(2, address.ip.packed) + attribute(1, address.ip.packed)
    if address.version == 4:
        body += attribute(4, address.network.broadcast_address.packed)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    head = _ADDRESS.pack(family, address.network.prefixlen, 0, 0, index)
    return Request(_NEWADDR, CREATE | REPLACE, head + body, f"address {cidr}")


def add_route(destination: str, *, gateway: str = "", index: int = 0) -> Request:
    """Lead `destination` (a CIDR; "default" is everything) to a gateway or, without one, onto the interface `index`."""
    via = ipaddress.ip_address(gateway) if gateway else None
    everything = "::/0" if via is not None and via.version == 6 else "0.0.0.0/0"
    target = ipaddress.ip_network(everything if destination == "default" else destination)
    body = attribute(1, target.network_address.packed) if target.prefixlen else b""
    body += attribute(5, via.packed) if via is not None else b""
    body += attribute(4, index) if index else b""
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    scope = 0 if gateway else 253  # RT_SCOPE_UNIVERSE, RT_SCOPE_LINK
    head = _ROUTE.pack(family, target.prefixlen, 0, 0, _MAIN_TABLE, 3, scope, 1, 0)  # RTPROT_BOOT, RTN_UNICAST
    return Request(_NEWROUTE, CREATE | REPLACE, head + body, f"route to {destination}")


def delete_default_route() -> Request:
    """Take the IPv4 default route away; succeeds if there is none."""
    head = _ROUTE.pack(socket.AF_INET, 0, 0, 0, _MAIN_TABLE, 0, 255, 0, 0)  # RT_SCOPE_NOWHERE: of any scope
    return Request(_DELROUTE, 0, head, "end of the default route", (errno.ESRCH,))


def find_link(name: str) -> Link | None:
    """The interface of that name."""
    with Connection() as connection:
        for answer in connection.dump(settle(name)._replace(ignored=(errno.ENODEV,))):
            return _parse_link(answer)
    return None


def links() -> list[Link]:
    """All interfaces."""
    body = _link(0, attribute(_EXT_MASK, _SKIP_STATISTICS))
    with Connection() as connection:
        return [_parse_link(answer) for answer in connection.dump(Request(_GETLINK, DUMP, body, "list of links"))]


def remove_link(name: str) -> None:
    """Delete an interface and return when its name is free, which is long before the kernel has forgotten its memory.

    The request's own answer comes after an RCU grace period, 16-20 ms, that nobody else has to wait for: a thread does.
    """
    errors: list[OSError] = []
    connection = Connection()
    effect("netlink", f"end of {name}")

    def delete() -> None:
        try:
            with connection:
                connection.execute([delete_link(name)])
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(delete,), name="wherry-unlink", daemon=True)
    thread.start()
    while thread.is_alive() and _is_taken(name):
        thread.join(0.0002)
    if errors:
        raise errors[0]


def _is_taken(name: str) -> bool:
    """Whether an interface has this name. Unlike `find_link` this waits for no lock, so that nobody waits for it."""
    try:
        return socket.if_nametoindex(name) > 0
    except OSError:
        return False


def live_routes() -> list[str]:
    """Destinations of this host's routes, as CIDR texts; default routes are not among them."""
    question = Request(_GETROUTE, DUMP, _ROUTE.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0), "list of routes")
    found = []
    with Connection() as connection:
        for answer in connection.dump(question):
            family, bits, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(answer)
            target = attributes(answer[_ROUTE.size :]).get(1)
            if (
                family in (socket.AF_INET, socket.AF_INET6)
                and table == _MAIN_TABLE
                and kind == 1
                and target is not None
            ):
                found.append(f"{ipaddress.ip_address(target)}/{bits}")
    return found


def _link(index: int, body: bytes, flags: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, flags) + body


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _parse_link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = attributes(body[_LINK.size :])
    kind = attributes(found.get(_LINKINFO, b"")).get(_INFO_KIND, b"")
    text = {key: found.get(key, b"").rstrip(b"\0").decode(errors="replace") for key in (_NAME, _ALIAS)}
    master = int.from_bytes(found.get(_MASTER, b""), "little")
    mac = found.get(_MAC, b"").hex(":")
    return Link(index, text[_NAME], kind.rstrip(b"\0").decode(), text[_ALIAS], master, bool(flags & _IFF_UP), mac)


def link_name(body: bytes) -> str:
    """The name in a message about an interface."""
    return attributes(body[_LINK.size :]).get(_NAME, b"").rstrip(b"\0").decode(errors="replace")


def _failure(request: Request, code: int, body: bytes) -> OSError:
    # struct nlmsgerr (int, nlmsghdr) without the request's body (CAP_ACK), then NLMSGERR_ATTR_MSG.
    reason = attributes(body[20:]).get(1, b"").rstrip(b"\0").decode(errors="replace")
    return OSError(code, f"{request.what}: {os.strerror(code)}" + (f" ({reason})" if reason else ""))
