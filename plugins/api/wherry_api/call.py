"""One request, as a handler sees it: its version, parameters, query and body, checked; and the ways to answer it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

import attrs
import orjson
from aiohttp import web

from wherry.errors import Invalid
from wherry_api.facade import Engine
from wherry_api.shapes.read import Fields, read_fields
from wherry_api.versions import Version

T = TypeVar("T")
BODY_LIMIT = 4 << 20  # of JSON; archives are streams
CHUNK = 256 << 10
_NO = frozenset(["", "0", "no", "false", "none"])


def _plain(value: object) -> object:
    """What orjson does not know by itself: mappings that are no dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


class Background:
    """Work that goes on when the client that asked for it leaves; the service waits for it before it ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it as a task that somebody holds."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self, timeout: float) -> None:
        """Wait until all of it has ended. What has not by then is cancelled and undoes itself, for which it has as long."""
        for late in (False, True):
            if late:
                for task in self._tasks:
                    task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=timeout)


@attrs.frozen(eq=False)
class Call:
    """A request under way."""

    request: web.BaseRequest
    engine: Engine
    version: Version
    parameters: Mapping[str, str]
    headers: Mapping[str, str]  # of every answer
    background: Background

    # --- what was asked ---

    @property
    def query(self) -> Mapping[str, str]:
        """The query; the first value of each name."""
        return self.request.rel_url.query

    def text(self, name: str, default: str = "") -> str:
        """A query value as it came."""
        return self.query.get(name, default)

    def texts(self, name: str) -> list[str]:
        """All values of a repeated query name."""
        return self.request.rel_url.query.getall(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth value; as Docker reads them, anything but a few words of denial is true."""
        value = self.query.get(name)
        return default if value is None else value.strip().lower() not in _NO

    def number(self, name: str) -> int | None:
        """A whole number, None if the query has none. Raises `Invalid`."""
        value = self.query.get(name, "")
        if value == "":
            return None
        if not (value.lstrip("+-").isascii() and value.lstrip("+-").isdecimal() and len(value) < 19):
            raise Invalid(f"{name} must be a whole number, not {value!r}")
        return int(value)

    async def fields(self, *, optional: bool = False) -> Fields:
        """The JSON object of the body. Raises `Invalid`; without a body too, unless it is optional."""
        body = await self.body()
        if not body.strip():
            if optional:
                return Fields({}, "", [])
            raise Invalid("invalid JSON: got EOF while reading request body")
        kind = self.request.headers.get("Content-Type", "")
        if kind and kind.partition(";")[0].strip().lower() != "application/json":
            raise Invalid(f"unsupported Content-Type header ({kind}): must be 'application/json'")
        return read_fields(body)

    async def body(self) -> bytes:
        """The whole body. Raises `Invalid` if it is larger than any real one."""
        found = bytearray()
        async for chunk in self.stream():
            found += chunk
            if len(found) > BODY_LIMIT:
                raise Invalid(f"the request body is larger than {BODY_LIMIT} bytes")
        return bytes(found)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces, as it comes."""
        if self.request.headers.get("Expect", "").lower() == "100-continue" and not self.request.content.total_bytes:
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.request.writer.output_size = 0  # this was no part of the answer
        while chunk := await self.request.content.readany():
            yield chunk

    # --- how it is answered ---

    def json(self, value: object, status: int = 200) -> web.Response:
        """An answer in JSON."""
        body = orjson.dumps(value, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
        return web.Response(body=body, status=status, headers={**self.headers, "Content-Type": "application/json"})

    def empty(self, status: int = 204) -> web.Response:
        """An answer without content."""
        return web.Response(status=status, headers=self.headers)

    async def begin(self, content_type: str) -> web.StreamResponse:
        """Send the headers of an answer that comes in pieces."""
        response = web.StreamResponse(headers={**self.headers, "Content-Type": content_type})
        await response.prepare(self.request)
        return response

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what must be done to its end even if the client leaves meanwhile."""
        return await asyncio.shield(self.background.start(work))
