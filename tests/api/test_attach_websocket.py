"""Attach over a websocket, as browsers and docker-py do it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from tests.api.conftest import Served
from tests.api.fake_engine import interactive, running_container
from tests.api.test_attach_api import attached, receive

from wherry.model.logs import Record
from wherry_api.streams import frame

Serve = Callable[..., None]
PATH = "/containers/web/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"


@asynccontextmanager
async def websocket(api: Served, path: str = PATH) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A client's websocket."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(api.path))) as session,
        session.ws_connect(f"http://docker{path}") as socket,
    ):
        yield socket


async def sent(socket: aiohttp.ClientWebSocketResponse, size: int) -> bytes:
    """So many bytes of what the container says."""
    found = b""
    while len(found) < size:
        found += await socket.receive_bytes()
    return found


def test_bytes_go_both_ways_as_they_are_and_the_end_of_output_ends_the_websocket(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        async with websocket(api) as socket:
            _, theirs = await attached(api)
            await socket.send_bytes(b"\xff\0 and ")
            await socket.send_str("text")
            assert await receive(theirs, 11) == b"\xff\0 and text"
            said = frame("stdout", b"out \xff") + frame("stderr", b"err") + frame("stdout", b"x" * 200_000)
            await asyncio.get_running_loop().sock_sendall(theirs, said)
            assert await sent(socket, 200_008) == b"out \xfferr" + b"x" * 200_000
            theirs.close()
            assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
        assert api.engine.containers.calls[-1] == ("attach", "web", True, True, True)

    serve(scenario)


def test_a_terminals_output_has_no_headers_and_its_keys_detach(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive(tty=True))
        async with websocket(api) as socket:
            end, theirs = await attached(api)
            theirs.sendall(b"\1\0\0\0 $ ")
            assert await sent(socket, 7) == b"\1\0\0\0 $ "
            await socket.send_bytes(b"ls\r\x10")
            await socket.send_bytes(b"\x11lost")
            assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
            assert await receive(theirs, 10) == b"ls\r"
            assert not end.closed.is_set()
        theirs.close()

    serve(scenario)


@pytest.mark.parametrize("once", [True, False])
def test_a_client_that_closes_ends_the_input_that_was_for_it_alone(serve: Serve, once: bool) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive(stdin_once=once))
        async with websocket(api) as socket:
            end, theirs = await attached(api)
            await socket.send_bytes(b"last words")
        assert await receive(theirs, 99) == b"last words"
        assert end.closed.is_set() == once
        theirs.close()

    serve(scenario)


@pytest.mark.parametrize("stream", [0, 1])
def test_what_was_said_before_comes_first(serve: Serve, stream: int) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        api.engine.containers.records = [Record(1, "stdout", b"before\n"), Record(2, "stderr", b"too\n")]
        async with websocket(api, f"/containers/web/attach/ws?logs=1&stream={stream}&stdout=1&stderr=1") as socket:
            assert await sent(socket, 11) == b"before\ntoo\n"
            if stream:
                _, theirs = await attached(api)
                theirs.sendall(frame("stdout", b"now"))
                assert await sent(socket, 3) == b"now"
                theirs.close()
            assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
        assert api.engine.containers.logs_open == 0

    serve(scenario)


def test_clients_from_before_1_28_get_text(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        api.engine.containers.records = [Record(1, "stdout", b"caf\xc3\xa9 \xff")]
        for version, kind in (("1.27", aiohttp.WSMsgType.TEXT), ("1.28", aiohttp.WSMsgType.BINARY)):
            async with websocket(api, f"/v{version}/containers/web/attach/ws?logs=1&stdout=1") as socket:
                message = await socket.receive()
                assert message.type == kind
                assert message.data == ("café \ufffd" if version == "1.27" else b"caf\xc3\xa9 \xff")

    serve(scenario)


def test_who_asks_for_no_websocket_or_no_container_is_told_so(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        answer = await api.ask("GET", PATH)
        assert (answer.status, "ask with Upgrade: websocket" in answer.message) == (400, True)
        assert (await api.ask("GET", PATH.replace("web", "nosuch"))).status == 404
        assert api.engine.containers.attached.empty()

    serve(scenario)


def test_stopping_the_service_ends_websockets(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive())
        async with websocket(api) as socket:
            _, theirs = await attached(api)
            await api.service.stop()
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert await receive(theirs, 1) == b""
        theirs.close()

    serve(scenario)
