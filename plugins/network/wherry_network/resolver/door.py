"""Where one sandbox is answered: its two sockets, the queries on their way, and what keeps it from taking others' share."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from wherry.linux.loop import IN, OUT, Loop, Timer
from wherry.linux.namespaces import visited_netns
from wherry_network.resolver import wire
from wherry_network.resolver.answers import Reply, local
from wherry_network.resolver.names import Names
from wherry_network.resolver.state import Entry
from wherry_network.resolver.upstream import US, Forward
from wherry_network.resolver.wire import Malformed, Question

BATCH = 16  # queries of one sandbox that are taken before the others have their turn
MOST = 256  # queries of one sandbox that other servers may be asked at a time
MOST_OF_ALL = 4096  # of all together; then each may still have a few
FEW = 16
CONNECTIONS = 32
IDLE = 10.0  # seconds after which a silent connection is ended
BACKLOG = 1 << 18  # bytes that a connection may leave unread


class Shared:
    """What all doors have in common."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.names = loop, Names()
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.asking = 0


class Door:
    """The sockets of one sandbox. Raises OSError if the sandbox is gone or its port is taken."""

    def __init__(self, shared: Shared, entry: Entry, report: Callable[[str], None]) -> None:
        self._shared, self.entry, self._report = shared, entry, report
        self._asking: set[Forward] = set()
        self._connections: set[Connection] = set()
        self._sockets: list[socket.socket] = []
        self._namespace = os.open(entry.netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with visited_netns(self._namespace, shared.home):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    self._sockets.append(socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK))
            datagrams, listener = self._sockets
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier life linger
            for sock in self._sockets:
                sock.bind((US, entry.port))
            listener.listen(CONNECTIONS)
        except OSError:
            self.close()
            raise
        shared.loop.watch(datagrams.fileno(), self._datagrams)
        shared.loop.watch(listener.fileno(), self._accept)

    def close(self) -> None:
        """Let go of the sandbox: the kernel ends a namespace only when no socket is left in it."""
        for connection in tuple(self._connections):
            connection.close()
        for forward in tuple(self._asking):
            self._end(forward)
        for sock in self._sockets:
            self._shared.loop.unwatch(sock.fileno())
            sock.close()
        os.close(self._namespace)

    def _datagrams(self, _: int) -> None:
        sock = self._sockets[0]
        for _ in range(BATCH):
            try:
                data, sender = sock.recvfrom(wire.LONGEST)
            except OSError:  # no more, or an error that concerns one earlier answer
                return

            def reply(answer: bytes, to: object = sender) -> None:
                try:
                    sock.sendto(answer, to)  # type: ignore[call-overload]
                except OSError:
                    return  # its buffer is full, or it has gone: it asks again

            self.serve(data, reply, stream=False)

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._sockets[1].accept()
        except OSError:  # it has gone again, or there are no descriptors left: it finds out
            return
        if len(self._connections) >= CONNECTIONS:
            sock.close()
            return
        self._connections.add(Connection(self, self._shared.loop, sock, self._connections.discard))

    def serve(self, data: bytes, reply: Reply, *, stream: bool) -> None:
        """Answer one query, now or later. What comes from a container must never end what serves them all."""
        try:
            self._serve(data, reply, stream)
        except Malformed as error:
            if error.answer:
                reply(error.answer)
        except Exception as error:  # the request's border
            self._report(f"a query of {self.entry.netns} failed: {error!r}")

    def _serve(self, data: bytes, reply: Reply, stream: bool) -> None:
        question = wire.parse(data)
        room = wire.LONGEST if stream else question.size
        found = local(self._shared.names, self.entry, question, room)
        if found is not None:
            reply(found)
        elif not self.entry.servers or self._is_greedy():
            reply(wire.failure(question))
        else:
            self._forward(question, data, reply, stream)

    def _is_greedy(self) -> bool:
        own = len(self._asking)
        return own >= MOST or (self._shared.asking >= MOST_OF_ALL and own >= FEW)

    def _forward(self, question: Question, data: bytes, reply: Reply, stream: bool) -> None:
        def done(answer: bytes | None) -> None:
            self._end(forward)
            reply(wire.failure(question) if answer is None else answer)

        namespaces = self._namespace, self._shared.home
        forward = Forward(self._shared.loop, question, data, namespaces, stream, done)
        self._asking.add(forward)
        self._shared.asking += 1
        forward.begin(self.entry.servers)

    def _end(self, forward: Forward) -> None:
        forward.close()
        if forward in self._asking:
            self._asking.remove(forward)
            self._shared.asking -= 1


class Connection:
    """A client by TCP: queries with their length before them, answered in any order."""

    def __init__(self, door: Door, loop: Loop, sock: socket.socket, gone: Callable[[Connection], None]) -> None:
        self._door, self._loop, self._sock, self._gone = door, loop, sock, gone
        self._inbox, self._outbox = bytearray(), bytearray()
        self._open = True
        sock.setblocking(False)
        loop.watch(sock.fileno(), self._event)
        self._idle: Timer = loop.later(IDLE, self.close)

    def _event(self, events: int) -> None:
        if events & OUT:
            self._flush()
        if not self._open or not events & ~OUT:
            return
        try:
            block = self._sock.recv(wire.LONGEST)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        if not block:
            self.close()
            return
        self._idle.cancel()
        self._idle = self._loop.later(IDLE, self.close)
        self._inbox += block
        while self._open and len(self._inbox) >= 2:
            end = 2 + int.from_bytes(self._inbox[:2], "big")
            if len(self._inbox) < end:
                return
            data = bytes(self._inbox[2:end])
            del self._inbox[:end]
            self._door.serve(data, self._reply, stream=True)

    def _reply(self, answer: bytes) -> None:
        if self._open:
            self._outbox += len(answer).to_bytes(2, "big") + answer
            self._flush()

    def _flush(self) -> None:
        try:
            del self._outbox[: self._sock.send(self._outbox)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if len(self._outbox) > BACKLOG:
            self.close()
            return
        self._loop.rewatch(self._sock.fileno(), IN | OUT if self._outbox else IN)

    def close(self) -> None:
        """End it; answers that are still to come go nowhere."""
        if self._open:
            self._open = False
            self._idle.cancel()
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._gone(self)
