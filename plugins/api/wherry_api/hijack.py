"""Taking an HTTP connection over for a two-way stream of bytes, and joining it to a process's streams."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from aiohttp import web

from wherry_api.connection import ApiConnection
from wherry_api.facade import Attached

LINGER = 10.0  # seconds for a client to close after the output has ended


class Source(Protocol):
    """What can be told to read no more for a while."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Far(Source, Protocol):
    """The process's end of a relay: reading from it goes on only after `deliver` and `resume`."""

    eof: asyncio.Event  # the output has ended
    writable: asyncio.Event  # all input is written

    def deliver(self, receive: Callable[[bytes], None]) -> None:
        """Pass the output there, framed as the client wants it."""

    def follow(self, source: Source) -> None:
        """Let `source` read only while input can be written."""

    def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> Awaitable[None]:
        """End the input, once all is written."""

    def close(self) -> None:
        """Nobody listens any more."""


class End(asyncio.Protocol):
    """One end of a relay. What arrives is kept until somebody is named to `deliver` it to.

    Writing to an end while an earlier write has not gone out is allowed, but whoever reads from elsewhere to write here
    pauses meanwhile (`follow`).
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._receive: Callable[[bytes], None] | None = None
        self._early = b""
        self.eof = asyncio.Event()
        self.lost = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self._follower: Source | None = None

    def follow(self, source: Source) -> None:
        """Let `source` read only while this end can write."""
        self._follower = source
        if not self.writable.is_set():
            source.pause()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # So that `writable` also means: all is sent. asyncio's TLS pauses from the limit on, other transports beyond it.
        transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)

    def deliver(self, receive: Callable[[bytes], None]) -> None:
        """From now on, what arrives goes there; first of all what arrived before."""
        early, self._early = self._early, b""
        self._receive = receive
        if early:
            receive(early)

    def data_received(self, data: bytes) -> None:
        if self._receive is None:
            self._early += data
            self.pause()
        else:
            self._receive(data)

    def eof_received(self) -> bool:
        self.eof.set()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self.writable.clear()
        if self._follower is not None:
            self._follower.pause()

    def resume_writing(self) -> None:
        self.writable.set()
        if self._follower is not None:
            self._follower.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.eof.set()
        self.lost.set()
        self.writable.set()
        if self._follower is not None:
            self._follower.resume()

    def write(self, data: bytes) -> None:
        """Send; lost if the peer is gone."""
        if self.transport is not None:
            self.transport.write(data)

    async def send(self, data: bytes) -> None:
        """Send, and wait until it has gone out. Raises ConnectionResetError if the peer is gone."""
        self.write(data)
        await self.writable.wait()
        if self.transport is None:
            raise ConnectionResetError("the client has gone")

    def pause(self) -> None:
        if self.transport is not None and not self.eof.is_set():
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None and not self.eof.is_set():
            self.transport.resume_reading()

    def end_writing(self) -> None:
        """Tell the peer that nothing more comes, once all is sent. TLS of asyncio can say so only by its close."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def close(self) -> None:
        """Close once all is sent."""
        if self.transport is not None:
            self.transport.close()


class ClientEnd(End):
    """The client's connection after it was taken over; aiohttp is told when it is lost."""

    def __init__(self, connection: ApiConnection) -> None:
        super().__init__()
        self._connection = connection

    async def finish(self, text: bytes) -> None:
        """Send these last words, and let the client close first."""
        self.write(text)
        await _say_goodbye(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connection.connection_lost(exc)


class Taken(web.StreamResponse):
    """What a handler returns after a take-over: nothing is left to be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


class Escape:
    """Passes input on, but for the keys that detach a terminal: these set `detached` and end the input."""

    def __init__(self, keys: bytes, write: Callable[[bytes], None], detached: asyncio.Event) -> None:
        self._keys, self._write, self._detached = keys, write, detached
        self._held = b""

    def receive(self, data: bytes) -> None:
        """Pass on all but a beginning of the keys at the very end, which is held until more arrives."""
        if self._detached.is_set():
            return
        data = self._held + data
        place = data.find(self._keys)
        if place >= 0:
            self._detached.set()
            self._held, data = b"", data[:place]
        else:
            lengths = range(min(len(self._keys) - 1, len(data)), 0, -1)
            held = next((n for n in lengths if data.endswith(self._keys[:n])), 0)
            self._held, data = data[len(data) - held :], data[: len(data) - held]
        if data:
            self._write(data)


@contextlib.asynccontextmanager
async def take_over(request: web.BaseRequest, content_type: str) -> AsyncIterator[ClientEnd]:
    """The client's end of a stream, after the answer's head was sent. Closed at the end of the block."""
    connection = request.protocol
    assert isinstance(connection, ApiConnection)
    transport = connection.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    if "upgrade" in request.headers:
        head = f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n"
    end = ClientEnd(connection)
    end.connection_made(transport)
    transport.set_protocol(end)
    end.pause()
    if connection.kept:
        end.data_received(connection.kept)
    if connection.kept_eof:
        end.eof.set()
    end.write(head.encode())
    try:
        yield end
    finally:
        end.close()


class ContainerEnd(End):
    """A container's end: the socket pair whose other end the monitor serves."""

    def __init__(self, attached: Attached) -> None:
        super().__init__()
        self._attached = attached

    async def close_stdin(self) -> None:
        self.end_writing()
        await self._attached.close_stdin()


@contextlib.asynccontextmanager
async def container_end(attached: Attached) -> AsyncIterator[ContainerEnd]:
    """The container's end of a stream; reading waits for `relay`. Closed at the end of the block."""
    try:
        _, end = await asyncio.get_running_loop().create_unix_connection(
            lambda: ContainerEnd(attached), sock=attached.sock
        )
    except BaseException:
        attached.sock.close()
        raise
    end.pause()
    try:
        yield end
    finally:
        end.close()


async def relay(client: ClientEnd, process: Far, *, stdin: bool, closes_stdin: bool, detach_keys: bytes = b"") -> bool:
    """Carry bytes both ways until the output ends, the client goes or (on a terminal) types the detach keys: then True.

    When the client ends its input, the process's stdin is closed if `closes_stdin`; else the stream ends, and stdin
    stays open for others. A client that only listens may end its input at once.
    """
    client.follow(process)
    process.deliver(client.write)
    if client.writable.is_set():
        process.resume()
    detached = asyncio.Event()
    process.follow(client)
    if not stdin:
        client.deliver(lambda _: None)
    elif detach_keys:
        client.deliver(Escape(detach_keys, process.write, detached).receive)
    else:
        client.deliver(process.write)
    if process.writable.is_set():
        client.resume()
    waits = [
        asyncio.create_task(_input(client, process, stdin=stdin, closes_stdin=closes_stdin)),
        asyncio.create_task(_set(process.eof)),
        asyncio.create_task(_set(detached)),
    ]
    await _first(waits)
    process.close()
    if not detached.is_set():
        await _say_goodbye(client)
    return detached.is_set()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _first(tasks: list[asyncio.Task[None]]) -> None:
    """Wait until one of these ends, and end the others. Raises what it raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _input(client: ClientEnd, process: Far, *, stdin: bool, closes_stdin: bool) -> None:
    """Returns when the client is gone, or has detached by ending its input."""
    await client.eof.wait()
    if client.lost.is_set():
        return
    if stdin:
        if not closes_stdin:
            return
        await process.writable.wait()
        await process.close_stdin()
    await _hung_up(client)


async def _hung_up(client: ClientEnd) -> None:
    """Wait until a client that has ended its input closes altogether.

    Its descriptor stays readable now, so that the event loop cannot watch it; an epoll set that asks for no event is
    still told of the hang-up.
    """
    if client.transport is None:
        return
    loop, hung_up = asyncio.get_running_loop(), asyncio.Event()
    with select.epoll() as watch:
        watch.register(client.transport.get_extra_info("socket").fileno(), 0)
        loop.add_reader(watch.fileno(), hung_up.set)
        try:
            await _first([asyncio.create_task(_set(client.lost)), asyncio.create_task(_set(hung_up))])
        finally:
            loop.remove_reader(watch.fileno())


async def _say_goodbye(client: ClientEnd) -> None:
    """Send all and the end, then let the client close first: a close with unread input would reset its connection."""
    client.deliver(lambda _: None)
    client.end_writing()
    client.resume()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(client.eof.wait(), LINGER)
