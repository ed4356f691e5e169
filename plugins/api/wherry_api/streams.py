"""Streams of answers: frames that tell a container's streams apart, JSON lines, and writing in large pieces."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import orjson

from wherry_api.versions import Version

T = TypeVar("T")
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_KINDS = {"stdout": b"\1\0\0\0", "stderr": b"\2\0\0\0", "error": b"\3\0\0\0"}
FULL = 64 << 10
Write = Callable[[bytes], Awaitable[None]]


def content_type(version: Version, tty: bool) -> str:
    """What a container's stream is called: since 1.42, framed ones have a name of their own."""
    return MULTIPLEXED if not tty and version >= (1, 42) else RAW


def frame(stream: str, data: bytes) -> bytes:
    """One piece of stdout, stderr or of an error of ours, with its header: kind and length."""
    return _KINDS[stream] + len(data).to_bytes(4, "big") + data


def json_line(value: object) -> bytes:
    """One line of a stream of JSON."""
    return orjson.dumps(value) + b"\r\n"


def error_line(text: str) -> bytes:
    """How a stream of JSON tells of a failure after it has begun."""
    return json_line({"errorDetail": {"message": text}, "error": text})


@contextlib.asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """End an iterator of the engine at the end of the block, so that it lets go of its files and queues."""
    try:
        yield items
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


class Batch:
    """Collects pieces and writes them as soon as their source pauses, or when there are many.

    The source appends without waiting; the writer runs when the source does, which is when nothing more is there just now.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pieces: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._writer = asyncio.create_task(self._run())

    async def add(self, piece: bytes) -> None:
        """Take one piece; waits while too much is unwritten. Raises what writing raised."""
        self._pieces.append(piece)
        self._size += len(piece)
        self._filled.set()
        if self._size >= FULL:
            self._room.clear()
            await self._room.wait()
        if self._writer.done():
            self._writer.result()

    async def _run(self) -> None:
        try:
            while self._pieces or not self._ended:
                await self._filled.wait()
                self._filled.clear()
                data, self._pieces, self._size = b"".join(self._pieces), [], 0
                if data:
                    await self._write(data)
                self._room.set()
        finally:
            self._room.set()

    async def end(self) -> None:
        """Write the rest. Raises what writing raised."""
        self._ended = True
        self._filled.set()
        await self._writer

    async def cancel(self) -> None:
        """Forget what is not written; nothing happens after the end."""
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
