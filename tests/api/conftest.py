"""The API on a real unix socket, before an engine in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from tests.api.fake_engine import FakeEngine, socket_path
from tests.api.openapi_checks import validate

from wherry_api.service import ApiService
from wherry_engine.daemon.config import Listening


@attrs.frozen
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The body's value."""
        return orjson.loads(self.body)

    @property
    def message(self) -> str:
        """The text of an error."""
        assert self.headers["content-type"] == "application/json"
        text = self.value["message"]
        assert isinstance(text, str)
        return text


@attrs.frozen
class Stream:
    """A connection on which a test speaks HTTP by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> tuple[int, dict[str, str]]:
        """The next answer's status and headers."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = (line.partition(": ")[::2] for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in fields}

    async def body(self, headers: dict[str, str]) -> bytes:
        """The body that belongs to these headers."""
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", "0")))
        found = b""
        while piece := await self.piece():
            found += piece
        return found

    async def piece(self) -> bytes:
        """One piece of a body that comes in pieces; empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    def close(self) -> None:
        """Go away at once."""
        self.writer.close()


@attrs.frozen
class Served:
    """A service with its engine, and ways to ask it."""

    engine: FakeEngine
    service: ApiService
    path: Path

    @property
    def url(self) -> str:
        """For docker -H."""
        return f"unix://{self.path}"

    async def open(self) -> Stream:
        """A connection."""
        return Stream(*await asyncio.open_unix_connection(str(self.path)))

    async def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, check: bool = True
    ) -> Answer:
        """One request with its answer, which must be as the API document says."""
        stream = await self.open()
        try:
            raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
            given = {"Host": "docker", "Content-Length": str(len(raw)), "Connection": "close"}
            if body is not None and not isinstance(body, bytes):
                given["Content-Type"] = "application/json"
            lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in {**given, **(headers or {})}.items())]
            stream.writer.write("\r\n".join([*lines, "", ""]).encode() + raw)
            status, found = await stream.head()
            answer = Answer(status, found, b"" if method == "HEAD" else await stream.body(found))
        finally:
            stream.close()
        if check and status != 304:
            assert validate(method, path, status, answer.body) == []
        return answer


Scenario = Callable[[Served], Awaitable[None]]


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[Scenario], None]:
    """Run a test's scenario against a service, and stop it in order."""

    async def run(scenario: Scenario) -> None:
        engine = FakeEngine()
        service = ApiService(engine)
        await service.start(Listening(hosts=[f"unix://{socket_path(tmp_path)}"]))
        try:
            await asyncio.wait_for(_awaited(scenario(Served(engine, service, socket_path(tmp_path)))), 20)
        finally:
            await service.stop()
        assert not socket_path(tmp_path).exists()

    return lambda scenario: asyncio.run(run(scenario))


async def _awaited(work: Awaitable[None] | Coroutine[Any, Any, None]) -> None:
    await work
