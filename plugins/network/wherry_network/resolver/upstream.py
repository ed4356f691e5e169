"""Asking other servers: each query on a socket of its own, so that an answer fits one question, id, port and server.

The sockets belong to the network namespace of the sandbox that asks, or to the host's for the host's own servers.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence

from wherry.linux.loop import IN, OUT, Loop, Timer
from wherry.linux.namespaces import visited_netns
from wherry_network.resolver import wire
from wherry_network.resolver.wire import Question

DEADLINE = 4.5  # seconds for all attempts together: clients give up after five
_ATTEMPTS = 3
_PORT = 53
US = "127.0.0.11"

Done = Callable[[bytes | None], None]
"""Gets the answer under the question's own number, or None if nobody has given one."""


def attempts(servers: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Whom to ask one after the other: up to three servers, or fewer twice. Never ourselves."""
    usable = [(address, from_host) for address, from_host in servers if from_host or address != US]
    if len(usable) >= _ATTEMPTS:
        return usable[:_ATTEMPTS]
    return (usable * 2)[:_ATTEMPTS]


class Forward:
    """One query on its way. `close` ends it without an answer."""

    def __init__(
        self, loop: Loop, question: Question, data: bytes, namespaces: tuple[int, int], stream: bool, done: Done
    ) -> None:
        """`namespaces` are the sandbox's and the host's; `stream` is for TCP."""
        self._loop, self._question, self._data, self._done = loop, question, data, done
        self._inside, self._home = namespaces
        self._stream = stream
        self._left: Iterator[tuple[str, bool]] = iter(())
        self._sock: socket.socket | None = None
        self._timer: Timer | None = None
        self._patience, self._id, self._inbox = 0.0, 0, b""

    def begin(self, servers: Sequence[tuple[str, bool]]) -> None:
        """Ask them. Without any there is no answer."""
        wanted = attempts(servers)
        self._left, self._patience = iter(wanted), DEADLINE / max(len(wanted), 1)
        self._next()

    def close(self) -> None:
        """Listen for no answer any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sock is not None:
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _next(self) -> None:
        self.close()
        for address, from_host in self._left:
            try:
                self._ask(address, from_host)
            except OSError:
                self.close()
                continue
            self._timer = self._loop.later(self._patience, self._next)
            return
        self._done(None)

    def _ask(self, address: str, from_host: bool) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = (socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK
        if from_host:
            self._sock = socket.socket(family, kind)
        else:
            with visited_netns(self._inside, self._home):
                self._sock = socket.socket(family, kind)
        self._id, self._inbox = int.from_bytes(os.urandom(2), "big"), b""
        query = wire.with_id(self._data, self._id)
        if self._stream:
            if (code := self._sock.connect_ex((address, _PORT))) not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
            outgoing = len(query).to_bytes(2, "big") + query
            self._loop.watch(self._sock.fileno(), lambda events: self._stream_event(events, outgoing), OUT)
        else:
            self._sock.connect((address, _PORT))  # from a random port; nobody else's answer gets in
            self._sock.send(query)
            self._loop.watch(self._sock.fileno(), self._datagram)

    def _datagram(self, _: int) -> None:
        assert self._sock is not None
        try:
            self._take(self._sock.recv(wire.LONGEST))
        except BlockingIOError:
            return
        except OSError:  # refused, unreachable
            self._next()

    def _stream_event(self, events: int, outgoing: bytes) -> None:
        assert self._sock is not None
        try:
            if events & OUT:  # connected, or failed to: a query always fits into a fresh connection's buffer
                if self._sock.send(outgoing) < len(outgoing):
                    raise ConnectionError("the connection takes nothing")
                self._loop.rewatch(self._sock.fileno(), IN)
                return
            block = self._sock.recv(wire.LONGEST)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        self._inbox += block
        size = 2 + int.from_bytes(self._inbox[:2], "big")
        if len(self._inbox) > 2 and len(self._inbox) >= size:
            self._take(self._inbox[2:size])
        elif not block:
            self._next()

    def _take(self, data: bytes) -> None:
        """What is no answer to our question is not for us; a server's own trouble is for the next one to solve."""
        if not wire.answers(data, self._id, self._question):
            if self._stream:
                self._next()
            return
        if wire.code(data) in (wire.SERVFAIL, wire.REFUSED):
            self._next()
            return
        self.close()
        self._done(wire.with_id(data, self._question.id))
