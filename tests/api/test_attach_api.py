"""Attach, spoken by hand over the socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.api.conftest import Served, Stream
from tests.api.fake_engine import FakeAttached, interactive, running_container

from wherry.model.logs import Record
from wherry_api.hijack import Escape
from wherry_api.shapes.keys import detach_keys
from wherry_api.streams import frame

Serve = Callable[..., None]
ATTACH = "/containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1"


def request(path: str, *more: str) -> bytes:
    """A POST whose client would like to speak another protocol."""
    fields = ("Host: d", "Connection: Upgrade", "Upgrade: tcp", "Content-Length: 0", *more)
    return "\r\n".join([f"POST {path} HTTP/1.1", *fields, "", ""]).encode()


async def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or fewer at the end."""
    found = b""
    while len(found) < size and (data := await asyncio.get_running_loop().sock_recv(sock, size - len(found))):
        found += data
    return found


async def attached(api: Served) -> tuple[FakeAttached, socket.socket]:
    """The container's side of the next attach."""
    return await api.engine.containers.attached.get()


async def attach(api: Served, extra: bytes = b"", path: str = ATTACH) -> Stream:
    """A client that has asked to attach, and has sent `extra` without awaiting an answer."""
    stream = await api.open()
    stream.writer.write(request(path) + extra)
    return stream


def test_attach_carries_bytes_both_ways_and_the_end_of_input(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        stream = await attach(api, b"early ")  # in one segment with the request
        end, theirs = await attached(api)
        status, headers = await stream.head()
        assert status == 101
        assert headers["content-type"] == "application/vnd.docker.multiplexed-stream"
        assert (headers["connection"], headers["upgrade"]) == ("Upgrade", "tcp")
        stream.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        stream.writer.write_eof()
        assert await receive(theirs, 24) == b"early GET / HTTP/1.1\r\n\r\n"
        assert await receive(theirs, 1) == b""
        await end.closed.wait()
        theirs.sendall(frame("stdout", b"hello"))
        assert await stream.reader.readexactly(13) == b"\1\0\0\0\0\0\0\5hello"
        theirs.close()
        assert await stream.reader.read() == b""
        stream.close()

    serve(scenario)


def test_attach_moves_large_streams_without_keeping_them(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        stream, data = await attach(api), os.urandom(1 << 20) * 32
        _, theirs = await attached(api)
        await stream.head()
        loop = asyncio.get_running_loop()

        async def echo() -> None:
            while piece := await loop.sock_recv(theirs, 1 << 18):
                await loop.sock_sendall(theirs, piece)
            theirs.close()

        async def send() -> None:
            for start in range(0, len(data), 1 << 18):
                stream.writer.write(data[start : start + (1 << 18)])
                await stream.writer.drain()
            stream.writer.write_eof()

        begun = time.perf_counter()
        _, _, found = await asyncio.gather(echo(), send(), stream.reader.read())
        print(f"{64 / (time.perf_counter() - begun):.0f} MB/s through attach")  # noqa: T201
        assert found == data
        stream.close()

    serve(scenario)


def test_a_slow_reader_holds_the_container_up(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(api.path))
        client.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(client, request(ATTACH))
        _, theirs = await attached(api)
        written, still = 0, 0
        while still < 20:
            try:
                written, still = written + theirs.send(b"x" * 65536), 0
            except BlockingIOError:
                still += 1
                await asyncio.sleep(0.01)
        assert written < 4 << 20
        client.close()
        theirs.close()

    serve(scenario)


def test_a_client_that_only_listens_may_end_its_input_at_once(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        stream = await attach(api, path="/containers/web/attach?stream=1&stdout=1")
        stream.writer.write_eof()
        end, theirs = await attached(api)
        await asyncio.sleep(0.05)
        theirs.sendall(b"out")
        await stream.head()
        assert await stream.reader.readexactly(3) == b"out"
        assert not end.closed.is_set()
        assert api.engine.containers.calls == [("attach", "web", False, True, False)]
        theirs.close()
        assert await stream.reader.read() == b""
        stream.close()

    serve(scenario)


@pytest.mark.parametrize("half_closed_first", [False, True])
def test_a_client_that_goes_ends_the_attach(serve: Serve, half_closed_first: bool) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        stream = await attach(api)
        end, theirs = await attached(api)
        await stream.head()
        if half_closed_first:
            stream.writer.write_eof()
            await end.closed.wait()
            await asyncio.sleep(0.02)
        stream.close()
        assert await receive(theirs, 1) == b""
        await asyncio.sleep(0.05)
        with pytest.raises(BrokenPipeError):
            theirs.send(b"x")
        theirs.close()

    serve(scenario)


def test_stdin_that_is_not_for_one_client_stays_open(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive(stdin_once=False))
        stream = await attach(api, b"line\n")
        end, theirs = await attached(api)
        await stream.head()
        assert await receive(theirs, 5) == b"line\n"
        stream.writer.write_eof()
        assert await stream.reader.read() == b""
        assert not end.closed.is_set()
        theirs.close()
        stream.close()

    serve(scenario)


def test_a_terminal_is_raw_and_its_keys_detach(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive(tty=True))
        stream = await attach(api, path=ATTACH + "&detachKeys=ctrl-x,q")
        end, theirs = await attached(api)
        _, headers = await stream.head()
        assert headers["content-type"] == "application/vnd.docker.raw-stream"
        stream.writer.write(b"ls\x18")
        assert await receive(theirs, 2) == b"ls"
        stream.writer.write(b"qrest")
        assert await stream.reader.read() == b""
        assert await receive(theirs, 1) == b""
        assert not end.closed.is_set()
        theirs.close()
        stream.close()

    serve(scenario)


def test_without_upgrade_the_stream_follows_a_plain_answer(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        stream = await api.open()
        stream.writer.write(f"POST /v1.41{ATTACH} HTTP/1.1\r\nHost: d\r\n\r\nhi".encode())
        _, theirs = await attached(api)
        status, headers = await stream.head()
        assert (status, headers["content-type"]) == (200, "application/vnd.docker.raw-stream")
        assert await receive(theirs, 2) == b"hi"
        theirs.close()
        assert await stream.reader.read() == b""
        stream.close()

    serve(scenario)


def test_an_attach_that_is_refused_gets_an_error_and_no_stream(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream = await attach(api, b"GET /_ping HTTP/1.1\r\n\r\n")
        status, headers = await stream.head()
        assert status == 404
        assert json.loads(await stream.body(headers)) == {"message": "No such container: web"}
        assert await stream.reader.read() == b""
        stream.close()

    serve(scenario)


def test_attach_replays_the_log_first(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        api.engine.containers.records = [Record(1, "stderr", b"before\n")]
        stream = await attach(api, path=ATTACH + "&logs=1")
        _, theirs = await attached(api)
        theirs.sendall(frame("stdout", b"after\n"))
        theirs.close()
        await stream.head()
        assert await stream.reader.read() == frame("stderr", b"before\n") + frame("stdout", b"after\n")
        stream.close()
        only = await attach(api, path="/containers/web/attach?logs=1&stdout=1&stderr=1")
        await only.head()
        assert await only.reader.read() == frame("stderr", b"before\n")
        only.close()

    serve(scenario)


def test_text_in_an_upload_that_looks_like_an_attach_is_no_attach(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream = await api.open()
        body = request(ATTACH) + b"tail"
        stream.writer.write(f"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        await asyncio.sleep(0.05)
        stream.writer.write(body)
        _, headers = await stream.head()
        await stream.body(headers)
        assert api.engine.images.received == body
        stream.close()

    serve(scenario)


@pytest.mark.parametrize(
    ("pieces", "passed", "detached"),
    [
        ([b"ab"], b"ab", False),
        ([b"a\x10", b"b"], b"a\x10b", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x10", b"\x11"], b"\x10", True),
        ([b"\x10", b"\x11", b"more"], b"", True),
    ],
)
def test_detach_keys_are_found_wherever_input_is_cut(pieces: list[bytes], passed: bytes, detached: bool) -> None:
    found: list[bytes] = []
    event = asyncio.Event()
    escape = Escape(detach_keys("ctrl-p,ctrl-q"), found.append, event)
    for piece in pieces:
        escape.receive(piece)
    assert (b"".join(found), event.is_set()) == (passed, detached)


def test_stopping_the_service_cancels_work_that_takes_too_long(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry_api.service.FINISH", 0.2)

    async def scenario(api: Served) -> None:
        api.engine.containers.delay = 60
        client = await api.open()
        body = b'{"Image": "busybox"}'
        head = f"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: {len(body)}\r\n\r\n"
        client.writer.write(head.encode() + body)
        while not working():
            await asyncio.sleep(0.01)
        await api.service.stop()
        assert working() == []
        client.close()

    def working() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() if "FakeContainers.create" in repr(task)]

    serve(scenario)


def test_stopping_the_service_ends_all_streams(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        events, hijacked = await api.open(), await attach(api)
        events.writer.write(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        await events.head()
        _, theirs = await attached(api)
        await hijacked.head()
        begun = time.monotonic()
        await api.service.stop()
        assert time.monotonic() - begun < 1.5
        assert await hijacked.reader.read() == b""
        assert await receive(theirs, 1) == b""
        for stream in (events, hijacked):
            stream.close()
        theirs.close()

    serve(scenario)
