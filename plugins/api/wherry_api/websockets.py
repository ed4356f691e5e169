"""A container's streams over a websocket: for clients, browsers among them, that cannot take an HTTP connection over.

Messages carry the bytes as they are. Which of two streams they belong to is not told, as it is not by Docker.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import WSMsgType, web

from wherry.errors import Invalid
from wherry_api.call import Call
from wherry_api.facade import Attached
from wherry_api.hijack import Escape

Send = Callable[[bytes], Awaitable[None]]
_HEADER = struct.Struct(">B3xI")
_PIECE = 64 << 10


def check_asked(call: Call) -> None:
    """Raises `Invalid` where the client does not ask for a websocket."""
    if call.request.headers.get("Upgrade", "").lower() != "websocket":
        raise Invalid("this path speaks websocket alone: ask with Upgrade: websocket, or attach by POST without /ws")


async def begin(call: Call) -> web.WebSocketResponse:
    """The connection as a websocket, after `check_asked`."""
    socket = web.WebSocketResponse(compress=False, autoclose=False)  # what a close means is done before it is answered
    socket.headers.update(call.headers)
    await socket.prepare(call.request)
    return socket


def sender(call: Call, socket: web.WebSocketResponse) -> Send:
    """Sends bytes as a message: of bytes, or of text to clients that are older than those."""

    async def as_text(data: bytes) -> None:
        await socket.send_str(data.decode(errors="replace"))

    return socket.send_bytes if call.version >= (1, 28) else as_text


async def join(
    socket: web.WebSocketResponse,
    send: Send,
    attached: Attached,
    *,
    framed: bool,
    stdin: bool,
    closes_stdin: bool,
    detach_keys: bytes,
) -> None:
    """Carry bytes both ways until the output ends, the client goes or types the detach keys.

    `framed` says that the output comes with headers, which are taken off. A client that goes ends the container's stdin if
    `closes_stdin`.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(sock=attached.sock)
    except BaseException:
        attached.sock.close()
        raise
    output = asyncio.create_task(_output(reader, send, framed=framed))
    input = asyncio.create_task(_input(socket, writer, detach_keys, heard=stdin))
    try:
        done, _ = await asyncio.wait((output, input), return_when=asyncio.FIRST_COMPLETED)
        gone = input in done and not input.result()
        if gone and stdin and closes_stdin:
            await writer.drain()
            await attached.close_stdin()
        if output in done:
            output.result()
    finally:
        for task in (output, input):
            task.cancel()
        await asyncio.gather(output, input, return_exceptions=True)
        writer.close()


async def _output(reader: asyncio.StreamReader, send: Send, *, framed: bool) -> None:
    async for data in _unframed(reader) if framed else _pieces(reader):
        await send(data)


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await reader.read(_PIECE):
        yield data


async def _unframed(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        try:
            _, left = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        except asyncio.IncompleteReadError:
            return
        while left and (data := await reader.read(min(left, _PIECE))):
            left -= len(data)
            yield data


async def _input(
    socket: web.WebSocketResponse, writer: asyncio.StreamWriter, detach_keys: bytes, *, heard: bool
) -> bool:
    """What the client sends goes to the container if it is `heard`. True if it has typed the keys, False if it has gone."""
    detached = asyncio.Event()
    receive = Escape(detach_keys, writer.write, detached).receive if detach_keys else writer.write
    async for message in socket:
        if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT) or not heard:
            continue
        receive(message.data.encode() if isinstance(message.data, str) else message.data)
        if detached.is_set():
            return True
        await writer.drain()
    return False
