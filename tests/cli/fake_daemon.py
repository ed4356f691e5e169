"""A Docker daemon of canned answers on a unix socket: real HTTP, real hijacked streams, every request recorded."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

VERSION = re.compile(r"^/v(\d+\.\d+)(/.*)$")


@attrs.frozen
class Request:
    """One request as it came; `query` keeps the last value of each name, `values` all of them."""

    method: str
    path: str
    version: str
    values: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(self.values)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.frozen
class Reply:
    """A whole answer."""

    status: int = 200
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


Stream = Iterator[bytes]
Session = Callable[[socket.socket], None]
Handler = Callable[[Request], "Reply | Stream | Session"]


def frame(stream: int, data: bytes) -> bytes:
    """One frame of Docker's multiplexed stream; 1 is stdout, 2 stderr."""
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class FakeDaemon:
    """Serves until closed; `on` adds a route that goes before those that are there."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.requests: list[Request] = []
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []
        self._peers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._spawn(self._accept)

    def on(self, method: str, pattern: str, answer: Handler | Reply | list[Any] | dict[str, Any] | str | None) -> None:
        """Answer `method` on paths that match `pattern` wholly (without the version) with a value or a function."""
        handler = answer if callable(answer) else _constant(answer if isinstance(answer, Reply) else Reply(200, answer))
        self._routes.insert(0, (method, re.compile(pattern), handler))

    def close(self) -> None:
        """End every connection and thread."""
        for sock in [self._listener, *self._peers]:
            with contextlib.suppress(OSError):  # the peer was first
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def paths(self) -> list[str]:
        """Method and path of every request, in order."""
        return [f"{r.method} {r.path}" for r in self.requests]

    def last(self, method: str, path: str) -> Request:
        """The latest request to that path."""
        return next(r for r in reversed(self.requests) if (r.method, r.path) == (method, path))

    def connections(self) -> list[socket.socket]:
        """Every connection that ever came."""
        return list(self._peers)

    def hang_up(self) -> None:
        """End every connection and go on listening."""
        for sock in self._peers:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer = self._listener.accept()[0]
            except OSError:
                return
            self._peers.append(peer)
            self._spawn(self._serve, peer)

    def _serve(self, peer: socket.socket) -> None:
        reader = peer.makefile("rb")
        try:
            while (request := _read(reader)) is not None:
                self.requests.append(request)
                answer = self._answer(request)
                if callable(answer):
                    _hijack(peer, request, answer)
                    return
                _write(peer, request, answer)
        except OSError:
            pass  # the client went away, as clients do
        finally:
            reader.close()
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def _answer(self, request: Request) -> Reply | Stream | Session:
        for method, pattern, handler in self._routes:
            if method == request.method and pattern.fullmatch(request.path):
                return handler(request)
        return Reply(404, {"message": "page not found"})


def _constant(reply: Reply) -> Handler:
    return lambda request: reply


def _read(reader: Any) -> Request | None:
    line = reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    elif "content-length" in headers:
        body = reader.read(int(headers["content-length"]))
    parts = urlsplit(target)
    path, version = parts.path, ""
    if match := VERSION.match(path):
        version, path = match.groups()
    return Request(method, unquote(path), version, tuple(parse_qsl(parts.query, True)), headers, body)


def _write(peer: socket.socket, request: Request, answer: Reply | Stream) -> None:
    head = "HTTP/1.1 {} X\r\nApi-Version: 1.50\r\nOstype: linux\r\nServer: Docker/28.2.2 (linux)\r\n"
    if isinstance(answer, Reply):
        body = b"" if answer.body is None else _encode(answer.body)
        extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        kind = "text/plain" if isinstance(answer.body, str) else "application/json"
        text = head.format(answer.status) + f"{extra}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        if answer.status in (204, 304):
            text = head.format(answer.status) + "\r\n"
        peer.sendall(text.encode() + (b"" if request.method == "HEAD" else body))
        return
    peer.sendall((head.format(200) + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
    for chunk in answer:
        peer.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    peer.sendall(b"0\r\n\r\n")


def _hijack(peer: socket.socket, request: Request, session: Session) -> None:
    upgrade = "upgrade" in request.headers
    status = "101 UPGRADED" if upgrade else "200 OK"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
    head += "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n" if upgrade else "\r\n"
    peer.sendall(head.encode())
    session(peer)


def _encode(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else (json.dumps(body) + "\n").encode()
