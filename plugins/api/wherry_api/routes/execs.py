"""Execs: further programs in running containers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from wherry.errors import WherryError
from wherry.model.execs import Exec
from wherry_api.call import Call
from wherry_api.facade import ExecStreams
from wherry_api.hijack import ClientEnd, Source, Taken, relay, take_over
from wherry_api.router import Route
from wherry_api.routes.containers import terminal_size
from wherry_api.routes.system import hint
from wherry_api.shapes.execs import console_size, exec_json, read_exec
from wherry_api.shapes.keys import DETACH
from wherry_api.streams import content_type, frame


class ExecEnd:
    """An exec's end of a relay: frames its output if the client wants that, and lets go of it without ending it."""

    def __init__(self, streams: ExecStreams, *, framed: bool) -> None:
        self._streams, self._framed = streams, framed
        self._source: Source | None = None
        self.eof = streams.ended
        self.writable = asyncio.Event()
        self.writable.set()
        streams.on_writable = self._changed

    def _changed(self, writable: bool) -> None:
        if writable:
            self.writable.set()
        else:
            self.writable.clear()
        if self._source is not None:
            (self._source.resume if writable else self._source.pause)()

    def deliver(self, receive: Callable[[bytes], None]) -> None:
        if self._framed:
            self._streams.listen(lambda name, data: receive(frame(name, data)))
        else:
            self._streams.listen(lambda _, data: receive(data))

    def follow(self, source: Source) -> None:
        self._source = source

    def pause(self) -> None:
        self._streams.pause()

    def resume(self) -> None:
        self._streams.resume()

    def write(self, data: bytes) -> None:
        self._streams.write(data)

    async def close_stdin(self) -> None:
        self._streams.close_stdin()

    def close(self) -> None:
        self._source = None
        _leave(self._streams)


async def create(call: Call) -> web.StreamResponse:
    """Note what is to be executed."""
    hint(call)
    spec = read_exec(await call.fields())
    return call.json({"Id": call.engine.execs.create(call.parameters["id"], spec)}, 201)


async def start(call: Call) -> web.StreamResponse:
    """Execute it, and carry its streams until it ends; or only execute it.

    Whether output is framed is what the client says here, as with dockerd: it need not be what it said at the creation.
    """
    execs, id = call.engine.execs, call.parameters["id"]
    fields = await call.fields(optional=True)
    detach, tty, size = fields.boolean("Detach"), fields.boolean("Tty"), console_size(fields)
    fields.check()
    found = execs.check(id)
    if not (tty and call.version >= (1, 42)):
        size = (0, 0)
    if detach:
        streams = await call.finish(execs.start(id, size))
        streams.release()
        return call.empty(200)
    async with take_over(call.request, content_type(call.version, tty)) as client:
        try:
            async with _started(call, id, size) as streams:
                await _carry(call, found, ExecEnd(streams, framed=not tty), client)
        except WherryError as error:
            text = f"{error.text}\r\n".encode()
            await client.finish(text if tty else frame("stdout", text))
    return Taken()


@contextlib.asynccontextmanager
async def _started(call: Call, id: str, size: tuple[int, int]) -> AsyncIterator[ExecStreams]:
    """Its streams, let go of at the end of the block, or at once if the client has left before they are there."""
    starting = call.background.start(call.engine.execs.start(id, size))
    try:
        streams = await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_let_go)
        raise
    try:
        yield streams
    finally:
        _leave(streams)


def _let_go(starting: asyncio.Task[ExecStreams]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        _leave(starting.result())


def _leave(streams: ExecStreams) -> None:
    """The client is gone: who reads from a pipe has its end, one on a terminal may be left alone; output is dropped."""
    streams.close_stdin()
    streams.release()


async def _carry(call: Call, found: Exec, process: ExecEnd, client: ClientEnd) -> None:
    spec = found.spec
    detached = await relay(
        client,
        process,
        stdin=spec.stdin,
        closes_stdin=not spec.tty,
        detach_keys=(spec.detach_keys or DETACH) if spec.tty else b"",
    )
    if detached:
        call.engine.execs.detached(found.id)


async def inspect(call: Call) -> web.StreamResponse:
    """All about one."""
    return call.json(exec_json(call.engine.execs.get(call.parameters["id"])))


async def resize(call: Call) -> web.StreamResponse:
    """Tell its terminal how large the client's is."""
    height, width = terminal_size(call)
    await call.engine.execs.resize(call.parameters["id"], height, width)
    return call.empty(200)


ROUTES = (
    Route("POST", "/containers/{id}/exec", create),
    Route("POST", "/exec/{id}/start", start),
    Route("POST", "/exec/{id}/resize", resize),
    Route("GET", "/exec/{id}/json", inspect),
)
