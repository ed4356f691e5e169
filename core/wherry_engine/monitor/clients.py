"""Connections of engines: requests come in, answers and news go out, and none of them can make us wait."""

from __future__ import annotations

import os
import socket
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from wherry.errors import Failed, WherryError
from wherry.linux import sockets
from wherry.linux.loop import IN, OUT, Loop
from wherry_engine.monitor.report import report


class Client:
    """One connection. What its socket does not take is kept until it does."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop, self.sock = loop, sock
        self._outbox: deque[Any] = deque()
        self.open = True
        self._reading = IN
        sock.setblocking(False)

    @property
    def unsent(self) -> Sequence[Any]:
        """The messages that its socket has not taken."""
        return self._outbox

    def read(self, wanted: bool) -> None:
        """Whether it is to be listened to."""
        self._reading = IN if wanted else 0
        self._loop.rewatch(self.sock.fileno(), self._reading | (OUT if self._outbox else 0))

    def send(self, message: Any) -> None:
        """Send, or keep to be sent. Goes nowhere if the client has gone."""
        if self.open:
            self._outbox.append(message)
            self.flush()

    def flush(self) -> None:
        """Send what has been kept."""
        try:
            while self._outbox:
                sockets.send(self.sock, self._outbox[0])
                self._outbox.popleft()
        except BlockingIOError:
            self._loop.rewatch(self.sock.fileno(), self._reading | OUT)
            return
        except OSError:  # gone: its end is read next
            self._outbox.clear()
        self._loop.rewatch(self.sock.fileno(), self._reading)

    def close(self) -> None:
        """End the connection."""
        self.open = False
        self._loop.unwatch(self.sock.fileno())
        self.sock.close()


class Reply:
    """The answer that one request still has to get. Exactly one of its methods is to be called, once."""

    __slots__ = ("_number", "client")

    def __init__(self, client: Client, number: int) -> None:
        self.client, self._number = client, number

    def ok(self, value: Any = None) -> None:
        """It has been done."""
        self.client.send({"number": self._number, "value": value})

    def fail(self, error: BaseException) -> None:
        """It has failed: errors of ours keep their kind, the system's become failures with its text."""
        kind = error.kind if isinstance(error, WherryError) else Failed.kind
        text = error.text if isinstance(error, WherryError) else str(error) or type(error).__name__
        self.client.send({"number": self._number, "error": {"kind": kind, "text": text}})


Serve = Callable[[str, dict[str, Any], list[int], Reply], None]
"""(op, arguments, descriptors, reply): descriptors are the server's to close."""


class Clients:
    """All connections that one listener has accepted."""

    def __init__(self, loop: Loop, listener: socket.socket, serve: Serve, gone: Callable[[Client], None]) -> None:
        self._loop, self._listener, self._serve, self._gone = loop, listener, serve, gone
        self.all: dict[int, Client] = {}
        self._reading = True
        listener.setblocking(False)
        loop.watch(listener.fileno(), self._accept)

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except BlockingIOError:  # it has gone again
            return
        client = Client(self._loop, sock)
        self.all[sock.fileno()] = client
        self._loop.watch(sock.fileno(), lambda events: self._turn(client, events))

    def _turn(self, client: Client, events: int) -> None:
        if events & OUT:
            client.flush()
        if not self._reading:
            return
        try:
            message, fds = sockets.receive(client.sock)
        except BlockingIOError:
            return
        if message is None:
            del self.all[client.sock.fileno()]
            client.close()
            self._gone(client)
            return
        reply = Reply(client, message.pop("number"))
        op = message.pop("op")
        try:
            self._serve(op, message, fds, reply)
        except (WherryError, OSError) as error:
            reply.fail(error)
        except Exception as error:  # the request's border: a bug in one must not end what serves all
            report(f"{op}: {''.join(traceback.format_exception(error))}")
            reply.fail(Failed(f"{op}: {error!r}"))

    def read(self, wanted: bool) -> None:
        """Whether to take new clients and requests; what is not taken waits."""
        self._reading = wanted
        self._loop.rewatch(self._listener.fileno(), IN if wanted else 0)
        for client in self.all.values():
            client.read(wanted)

    @property
    def unsent(self) -> bool:
        """Whether any client has not taken all that it has been told."""
        return any(client.unsent for client in self.all.values())

    def tell_all(self, message: Any) -> None:
        """Send news to every client."""
        for client in self.all.values():
            client.send(message)

    def close(self) -> None:
        """End every connection; the listener stays."""
        self._loop.unwatch(self._listener.fileno())
        for client in self.all.values():
            client.close()
        self.all.clear()


def close_fds(fds: list[int]) -> None:
    """Close descriptors that came with a message."""
    for fd in fds:
        os.close(fd)
