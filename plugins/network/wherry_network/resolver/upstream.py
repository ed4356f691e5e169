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
    """One query on its way: a server is asked once the one before has had its time; whoever answers first is heard."""

    def __init__(
        self, loop: Loop, question: Question, data: bytes, namespaces: tuple[int, int], stream: bool, done: Done
    ) -> None:
        """`namespaces` are the sandbox's and the host's; `stream` is for TCP."""
        self.loop, self.question, self.data, self._done = loop, question, data, done
        self._inside, self._home = namespaces
        self.stream = stream
        self._left: Iterator[tuple[str, bool]] = iter(())
        self._asked: list[_Attempt] = []
        self._timer: Timer | None = None
        self._patience = 0.0

    def begin(self, servers: Sequence[tuple[str, bool]]) -> None:
        """Ask them. Without any there is no answer."""
        wanted = attempts(servers)
        self._left, self._patience = iter(wanted), DEADLINE / max(len(wanted), 1)
        self._next()

    def close(self) -> None:
        """Listen for no answer any more."""
        if self._timer is not None:
            self._timer.cancel()
        for attempt in self._asked:
            attempt.close()
        self._asked.clear()

    def _next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for address, from_host in self._left:
            try:
                self._asked.append(_Attempt(self, address, self._socket(address, from_host)))
            except OSError:
                continue
            self._timer = self.loop.later(self._patience, self._next)
            return
        self._finish(None)

    def _socket(self, address: str, from_host: bool) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = (socket.SOCK_STREAM if self.stream else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK
        if from_host:
            return socket.socket(family, kind)
        with visited_netns(self._inside, self._home):
            return socket.socket(family, kind)

    def failed(self, attempt: _Attempt) -> None:
        """It will get no answer. Whoever has been asked before may still give one; if nobody can, the next is asked."""
        attempt.close()
        latest = attempt is self._asked[-1]
        self._asked.remove(attempt)
        if latest:
            self._next()

    def answered(self, data: bytes) -> None:
        """This is the answer."""
        self._finish(wire.with_id(data, self.question.id))

    def _finish(self, data: bytes | None) -> None:
        self.close()
        self._done(data)


class _Attempt:
    """One server that has been asked, on a socket of its own. Raises OSError if it cannot be."""

    def __init__(self, forward: Forward, address: str, sock: socket.socket) -> None:
        self._forward, self._sock, self._inbox = forward, sock, b""
        self._id = int.from_bytes(os.urandom(2), "big")
        query = wire.with_id(forward.data, self._id)
        try:
            if forward.stream:
                if (code := sock.connect_ex((address, _PORT))) not in (0, errno.EINPROGRESS):
                    raise OSError(code, os.strerror(code))
                outgoing = len(query).to_bytes(2, "big") + query
                forward.loop.watch(sock.fileno(), lambda events: self._stream(events, outgoing), OUT)
            else:
                sock.connect((address, _PORT))  # from a random port; nobody else's answer gets in
                sock.send(query)
                forward.loop.watch(sock.fileno(), self._datagram)
        except OSError:
            sock.close()
            raise

    def close(self) -> None:
        """Forget it."""
        self._forward.loop.unwatch(self._sock.fileno())
        self._sock.close()

    def _datagram(self, _: int) -> None:
        try:
            data = self._sock.recv(wire.LONGEST)
        except BlockingIOError:
            return
        except OSError:  # refused, unreachable
            self._forward.failed(self)
            return
        if wire.answers(data, self._id, self._forward.question):  # all else is not for us
            self._take(data)

    def _stream(self, events: int, outgoing: bytes) -> None:
        try:
            if events & OUT:  # connected, or failed to: a query always fits into a fresh connection's buffer
                if self._sock.send(outgoing) < len(outgoing):
                    raise ConnectionError("the connection takes nothing")
                self._forward.loop.rewatch(self._sock.fileno(), IN)
                return
            block = self._sock.recv(wire.LONGEST)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        self._inbox += block
        size = 2 + int.from_bytes(self._inbox[:2], "big")
        if len(self._inbox) > 2 and len(self._inbox) >= size:
            data = self._inbox[2:size]
            if wire.answers(data, self._id, self._forward.question):
                self._take(data)
            else:
                self._forward.failed(self)
        elif not block:
            self._forward.failed(self)

    def _take(self, data: bytes) -> None:
        """A server's own trouble is for the next one to solve."""
        if wire.code(data) in (wire.SERVFAIL, wire.REFUSED):
            self._forward.failed(self)
        else:
            self._forward.answered(data)
