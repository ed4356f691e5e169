"""One container of the fake daemon: created, attached to, started, waited for and killed like a real one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.cli.fake_daemon import FakeDaemon, Reply, Request, Session, frame
from tests.cli.fake_data import ident

Program = Callable[["FakeContainer", socket.socket], int]


class FakeContainer:
    """Runs `program` on the attached stream once it is started; what the program returns is the exit status."""

    def __init__(
        self, daemon: FakeDaemon, program: Program, *, tty: bool = False, stdin: bool = True, running: bool = False
    ) -> None:
        self.id = ident("1")
        self.program = program
        self.status = 0
        self.started = threading.Event()
        self.exited = threading.Event()
        self.signals: list[str] = []
        self.signalled = threading.Event()
        self.sizes: list[tuple[str, str]] = []
        if running:
            self.started.set()
        name = f"(box|{self.id})"
        config = {"Tty": tty, "OpenStdin": stdin}
        state = {"Running": running, "Paused": False, "Restarting": False, "ExitCode": 0}
        shown = {"Id": self.id, "Config": config, "State": state, "HostConfig": {"AutoRemove": False}}
        daemon.on("POST", "/containers/create", Reply(201, {"Id": self.id, "Warnings": []}))
        daemon.on("GET", f"/containers/{name}/json", shown)
        daemon.on("POST", f"/containers/{name}/attach", self._attach)
        daemon.on("POST", f"/containers/{name}/wait", self._wait)
        daemon.on("POST", f"/containers/{name}/start", self._start)
        daemon.on("POST", f"/containers/{name}/kill", self._kill)
        daemon.on("POST", f"/containers/{name}/resize", self._resize)

    def _attach(self, request: Request) -> Session:
        def session(peer: socket.socket) -> None:
            self.started.wait(20)
            self.status = self.program(self, peer)
            self.exited.set()

        return session

    def _wait(self, request: Request) -> Iterator[bytes]:
        def body() -> Iterator[bytes]:
            yield b" "
            self.exited.wait(20)
            yield json.dumps({"StatusCode": self.status}).encode()

        return body()

    def _start(self, request: Request) -> Reply:
        self.started.set()
        return Reply(204)

    def _kill(self, request: Request) -> Reply:
        self.signals.append(request.query["signal"])
        self.signalled.set()
        return Reply(204)

    def _resize(self, request: Request) -> Reply:
        self.sizes.append((request.query["h"], request.query["w"]))
        return Reply(200)


def read_all(peer: socket.socket) -> bytes:
    """Everything up to the client's half-close."""
    data = b""
    while piece := peer.recv(65536):
        data += piece
    return data


def says(*frames: tuple[int, bytes], status: int = 0) -> Program:
    """A program that writes those frames and ends."""

    def program(container: FakeContainer, peer: socket.socket) -> int:
        peer.sendall(b"".join(frame(stream, data) for stream, data in frames))
        return status

    return program


def types(expected: Any, peer: socket.socket) -> None:
    """Read until `expected` has come."""
    data = b""
    while expected not in data:
        piece = peer.recv(65536)
        assert piece, f"the client ended after {data!r}"
        data += piece
