"""What tests of the resolver need: a client, a server to be asked by it, and sandboxes that a real process answers."""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from wherry.linux.namespaces import create_netns, in_netns, remove_netns
from wherry.model.sandboxes import NameServer, Place, Sandbox
from wherry_engine.engine.processes import Processes
from wherry_network.resolver.service import ResolverService

A, PTR, TXT, AAAA, ANY = 1, 12, 16, 28, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP = 0, 1, 2, 3, 4
US = ("127.0.0.11", 53)


def encoded(name: str) -> bytes:
    """A name on the wire."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(name: str, type: int = A, *, id: int = 0x1234, edns: int = 0) -> bytes:
    """A query of one question."""
    extra = b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b""
    head = struct.pack(">6H", id, 0x0100, 1, 0, 0, bool(edns))
    return head + encoded(name) + struct.pack(">HH", type, 1) + extra


@attrs.frozen
class Answer:
    """An answer, taken apart."""

    id: int
    code: int
    truncated: bool
    values: list[str]


def answer(data: bytes) -> Answer:
    """Take one apart that has at most one question."""
    id, flags, questions, records, _, _ = struct.unpack_from(">6H", data)
    assert flags & 0x8000
    at, values = 12, []
    if questions:
        at = _skip(data, at) + 4
    for _ in range(records):
        at = _skip(data, at)
        type, _, _, length = struct.unpack_from(">HHIH", data, at)
        at += 10
        part = data[at : at + length]
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(type)
        values.append(socket.inet_ntop(family, part) if family else _text(part))
        at += length
    return Answer(id, flags & 15, bool(flags & 0x0200), values)


def _skip(data: bytes, at: int) -> int:
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1


def _text(data: bytes) -> str:
    labels, at = [], 0
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels)


def response(asked: bytes, *addresses: str, code: int = 0, truncated: bool = False) -> bytes:
    """What a server says to a query without EDNS."""
    end = _skip(asked, 12) + 4
    flags = 0x8180 | code | (0x0200 if truncated else 0)
    records = [b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 60, 4) + socket.inet_aton(each) for each in addresses]
    return (
        struct.pack(">H5H", *struct.unpack_from(">H", asked), flags, 1, len(records), 0, 0)
        + asked[12:end]
        + b"".join(records)
    )


Say = Callable[[bytes, bool], Sequence[bytes]]
"""(query, whether by TCP) -> the messages to send back, of which some may be no answers."""


def _sockets() -> tuple[socket.socket, socket.socket]:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()


class Server:
    """A DNS server at port 53 of an address, in a network namespace (None: ours). Counts what it is asked."""

    def __init__(self, netns: int | None, address: str, say: Say) -> None:
        self.asked: list[bytes] = []
        self.senders: list[Any] = []
        self._say = say
        self._udp, self._tcp = _sockets() if netns is None else in_netns(netns, _sockets)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (self._udp, self._tcp):
            sock.bind((address, 53))
        self._tcp.listen()
        self._wake, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for sock in (self._udp, self._tcp, self._wake):
                selector.register(sock, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wake:
                        return
                    if key.fileobj is self._udp:
                        data, sender = self._udp.recvfrom(65535)
                        self._note(data, sender)
                        for message in self._say(data, False):
                            with suppress(OSError):
                                self._udp.sendto(message, sender)
                    else:
                        self._stream()

    def _stream(self) -> None:
        connection, sender = self._tcp.accept()
        with connection, suppress(OSError):
            data = receive(connection)
            self._note(data, sender)
            for message in self._say(data, True):
                connection.sendall(len(message).to_bytes(2, "big") + message)

    def _note(self, data: bytes, sender: Any) -> None:
        self.asked.append(data)
        self.senders.append(sender)

    def close(self) -> None:
        """End it."""
        self._stop.send(b"x")
        self._thread.join()
        for sock in (self._udp, self._tcp, self._wake, self._stop):
            sock.close()


def receive(connection: socket.socket) -> bytes:
    """One message of a stream."""
    file = connection.makefile("rb")
    with file:
        return file.read(int.from_bytes(file.read(2), "big"))


class Client:
    """Somebody in a sandbox who asks."""

    def __init__(self, netns: int) -> None:
        self.netns = netns

    def socket(self, kind: int = socket.SOCK_DGRAM, patience: float = 8) -> socket.socket:
        """One that belongs to the sandbox."""
        made = in_netns(self.netns, lambda: socket.socket(socket.AF_INET, kind))
        made.settimeout(patience)
        return made

    def raw(self, data: bytes, patience: float = 8) -> bytes:
        """What comes back to this, by UDP."""
        with self.socket(patience=patience) as sock:
            sock.sendto(data, US)
            return sock.recv(65535)

    def ask(self, name: str, type: int = A, *, edns: int = 0, patience: float = 8) -> Answer:
        """By UDP."""
        id = random.randrange(65536)
        found = answer(self.raw(query(name, type, id=id, edns=edns), patience))
        assert found.id == id
        return found

    def stream(self, name: str, type: int = A) -> Answer:
        """By TCP."""
        with self.socket(socket.SOCK_STREAM) as sock:
            sock.connect(US)
            data = query(name, type)
            sock.sendall(len(data).to_bytes(2, "big") + data)
            return answer(receive(sock))

    def until(self, name: str, seconds: float) -> float:
        """Seconds until the name has been answered; asks again and again, as clients do."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            with suppress(OSError):
                if self.ask(name, patience=0.1).values:
                    return time.monotonic() - begun
        raise AssertionError(f"{name} was not answered in {seconds:g} s")


class World:
    """A process tree with the resolver as its service, and sandboxes without an engine."""

    def __init__(self, root: Path, failpoints: str = "") -> None:
        self.root, self.exec_root, self._failpoints = root, root / "run", failpoints
        self._runner = asyncio.Runner()
        self._netns: dict[str, int] = {}
        self.servers: list[Server] = []
        self.processes: Processes
        self.connect()
        self.service = ResolverService(self)
        self.begin()

    def do(self, work: Any) -> Any:
        """The result of a coroutine."""
        return self._runner.run(work)

    def connect(self) -> None:
        """As a new engine."""
        environment = {
            "WHERRY_STEP_AUDIT": str(self.root / "audit"),
            "WHERRY_FAILPOINTS": self._failpoints,
            "PATH": os.environ["PATH"],
        }
        connecting = Processes.connect(self.exec_root, on_exit=lambda _: None, environment=environment)
        self.processes = self.do(connecting)

    def begin(self) -> None:
        """As an engine does at its start."""
        for process in self.service.processes():
            self.do(self.processes.service(process))

    def add(
        self, id: str, *places: Place, servers: Sequence[NameServer] = (), keeps_short_names: bool = False
    ) -> Client:
        """A sandbox that is ready; again with other facts, it is changed."""
        path = self.root / "netns" / id
        if id not in self._netns:
            create_netns(path)
            self._netns[id] = os.open(path, os.O_RDONLY)
        sandbox = Sandbox(
            container_id=id, netns=path, places=places, servers=tuple(servers), keeps_short_names=keeps_short_names
        )
        self.service.sandbox_ready(sandbox)
        return Client(self._netns[id])

    def sandbox(self, id: str, *places: Place) -> Sandbox:
        """As `add` makes it, with nobody to be asked."""
        return Sandbox(container_id=id, netns=self.root / "netns" / id, places=places)

    def server(self, netns: int | None, address: str, say: Say) -> Server:
        """One that ends with this world."""
        self.servers.append(Server(netns, address, say))
        return self.servers[-1]

    def pid(self) -> int:
        """The resolver's process."""
        status: dict[str, Any] = self.do(self.processes._supervisor.call("status"))
        return int(status["services"]["resolver"])

    def close(self) -> None:
        """Nothing stays."""
        for server in self.servers:
            server.close()
        for id, netns in self._netns.items():
            self.service.sandbox_gone(id)
            os.close(netns)
            remove_netns(self.root / "netns" / id)
        self.do(self.processes.shutdown())
        self._runner.close()
        audit = self.root / "audit"
        assert not audit.exists() or not audit.read_text(), audit.read_text()


def place(network: str, address: str, *names: str, **links: str) -> Place:
    """A place in a network whose id is its name."""
    return Place(network_id=f"id-{network}", network=network, address=address, names=names, links=links)
