"""The processes of an engine, and what a client sees of its containers' streams."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from pathlib import Path

from tests.fire.daemon import Fire, eventually

from wherry.testing import tasks
from wherry.testing.ledger import reap_orphans

# As `ps` shows them, cut to 15 characters.
SUPERVISOR, MONITOR, RESOLVER = "wherry-superv", "wherry-monitor", "wherry-resolver"[:15]


class Machinery:
    """The supervisor, the monitor and the resolver of one engine, whoever they are at the moment."""

    def __init__(self, fire: Fire) -> None:
        self._fire = fire
        self._spare = [process.pid for process in tasks.descendants(os.getpid())]

    def pids(self) -> dict[str, int]:
        """By name, of those that live. wherryd is among them."""
        found = {"wherryd": self._fire.engine.pid}
        for process in tasks.descendants(os.getpid()):
            if process.name in (SUPERVISOR, MONITOR, RESOLVER) and process.state != "Z":
                found[process.name] = process.pid
        return found

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until a successor is there."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.pids().get(name, pid) != pid)
        eventually(lambda: {SUPERVISOR, MONITOR} <= self.pids().keys())
        self.reap()

    def reap(self) -> None:
        """As a host's init does: a killed supervisor's children are ours, since we are a subreaper."""
        reap_orphans([*self._spare, self._fire.engine.pid])


class Stream:
    """A request whose answer has begun: what comes of it is awaited, and the client may leave at any time."""

    def __init__(self, path: Path, request: str, *, upgrade: bool = False) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        more = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
        self._socket.sendall(f"{request} HTTP/1.1\r\nHost: engine\r\n{more}\r\n".encode())
        self._seen = b""
        self.await_text(b"\r\n\r\n")
        assert self._seen.startswith(b"HTTP/1.1 101 " if upgrade else b"HTTP/1.1 200 "), self._seen

    def send(self, data: bytes) -> None:
        """Type."""
        self._socket.sendall(data)

    def await_text(self, text: bytes) -> None:
        """Wait until this has come."""
        while text not in self._seen:
            data = self._socket.recv(65536)
            assert data, f"closed before {text!r} came: {self._seen[-200:]!r}"
            self._seen += data

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def attached(path: Path, name: str) -> Stream:
    """A client of a container's stdin and stdout."""
    return Stream(path, f"POST /containers/{name}/attach?stream=1&stdin=1&stdout=1", upgrade=True)


def say(path: Path, name: str, word: str) -> None:
    """Attach, type a line to a container that answers `got LINE`, see the answer, and leave."""
    client = attached(path, name)
    client.send(f"{word}\n".encode())
    client.await_text(f"got {word}".encode())
    client.close()


def output(fire: Fire, name: str, *, tty: bool = False) -> tuple[list[str], list[str]]:
    """The lines of `docker logs`: stdout's and stderr's; a terminal's are all stdout's."""
    data = fire.api.raw("GET", f"/containers/{name}/logs?stdout=1&stderr=1")
    if tty:
        return data.decode().split("\r\n")[:-1], []
    streams = {1: bytearray(), 2: bytearray()}
    at = 0
    while at < len(data):
        kind, size = struct.unpack(">BxxxL", data[at : at + 8])
        streams[kind] += data[at + 8 : at + 8 + size]
        at += 8 + size
    return streams[1].decode().splitlines(), streams[2].decode().splitlines()


class Echo:
    """A TCP connection through a published port to a program that sends back what it gets."""

    def __init__(self, port: int) -> None:
        end = time.monotonic() + 10
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
                break
            except ConnectionError:
                assert time.monotonic() < end
                time.sleep(0.05)

    def check(self, word: str) -> None:
        """It still goes both ways."""
        data = f"{word}\n".encode()
        self._socket.sendall(data)
        back = b""
        while len(back) < len(data):
            part = self._socket.recv(1000)
            assert part, "the connection was closed"
            back += part
        assert back == data

    def close(self) -> None:
        """End it."""
        self._socket.close()
