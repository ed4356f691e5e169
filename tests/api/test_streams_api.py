"""Logs, wait and events, spoken by hand over the socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from tests.api.conftest import Served
from tests.api.fake_engine import interactive, make_container, running_container

from wherry.model.configs import Config
from wherry.model.logs import LogQuery, Record
from wherry_api.streams import frame

Serve = Callable[..., None]


# --- logs ---


def test_logs_are_framed_and_may_have_times_and_details(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        containers.add(make_container(name="web", config=Config(image="busybox", cmd=("sh",))))
        containers.records = [Record(1_500_000_000, "stdout", b"one\n"), Record(2 * 10**9, "stderr", b"two\n")]
        plain = await api.ask("GET", "/containers/web/logs?stdout=1&stderr=1")
        assert plain.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
        assert plain.body == frame("stdout", b"one\n") + frame("stderr", b"two\n")
        timed = await api.ask("GET", "/v1.41/containers/web/logs?stdout=1&timestamps=1&details=1")
        assert timed.headers["content-type"] == "application/vnd.docker.raw-stream"
        assert timed.body.startswith(frame("stdout", b"1970-01-01T00:00:01.500000000Z  one\n"))
        path = "/containers/web/logs?stderr=1&tail=5&since=1.000000001&until=1700000000"
        await api.ask("GET", path)
        assert containers.calls[-1] == (
            "logs",
            LogQuery(stdout=False, stderr=True, tail=5, since_ns=1_000_000_001, until_ns=1_700_000_000 * 10**9),
        )

    serve(scenario)


def test_logs_of_a_terminal_are_raw(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(interactive(tty=True))
        api.engine.containers.records = [Record(1, "stdout", b"one\r\n")]
        answer = await api.ask("GET", "/containers/web/logs?stdout=1&tail=all")
        assert answer.headers["content-type"] == "application/vnd.docker.raw-stream"
        assert answer.body == b"one\r\n"

    serve(scenario)


def test_followed_logs_come_at_once_and_end_with_the_client(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        containers.add(running_container("web"))
        stream = await api.open()
        stream.writer.write(b"GET /containers/web/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        assert (await stream.head())[0] == 200  # before there is any output
        stream.close()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not containers.logs_open:
                break
        assert containers.logs_open == 0
        containers.records = [Record(1, "stdout", b"one\n")]
        stream = await api.open()
        stream.writer.write(b"GET /containers/web/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        await stream.head()
        assert await stream.piece() == frame("stdout", b"one\n")
        containers.more.set()
        assert await stream.piece() == b""
        stream.close()

    serve(scenario)


def test_a_log_that_cannot_be_read_is_an_error(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(make_container(name="web", log_driver="none"))
        answer = await api.ask("GET", "/containers/web/logs?stdout=1")
        assert (answer.status, answer.message) == (400, "configured logging driver does not support reading")

    serve(scenario)


def test_many_lines_are_written_in_large_pieces(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        api.engine.containers.records = [Record(1, "stdout", b"x" * 99 + b"\n")] * 50_000
        stream = await api.open()
        begun = time.perf_counter()
        stream.writer.write(b"GET /containers/web/logs?stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        await stream.head()
        pieces = 0
        size = 0
        while piece := await stream.piece():
            pieces, size = pieces + 1, size + len(piece)
        print(f"logs: {size / (time.perf_counter() - begun) / 1e6:.0f} MB/s in {pieces} pieces")  # noqa: T201
        assert size == 50_000 * 108
        assert pieces < 200
        stream.close()

    serve(scenario)


# --- wait and events ---


def test_wait_sends_its_headers_at_once_and_the_code_at_the_end(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        containers.add(running_container("web"))
        stream = await api.open()
        stream.writer.write(b"POST /containers/web/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n")
        status, headers = await stream.head()
        assert (status, headers["content-type"]) == (200, "application/json")
        assert containers.calls == [("wait", "web", "next-exit")]
        containers.end("web", 7)
        assert json.loads(await stream.body(headers)) == {"StatusCode": 7}
        stream.close()
        missing = await api.ask("POST", "/containers/nosuch/wait")
        assert (missing.status, missing.message) == (404, "No such container: nosuch")

    serve(scenario)


def test_a_wait_whose_client_goes_is_forgotten(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        stream = await api.open()
        stream.writer.write(b"POST /containers/web/wait HTTP/1.1\r\nHost: d\r\n\r\n")
        await stream.head()
        stream.close()
        await asyncio.sleep(0.1)
        assert api.engine.containers.waiters[0].cancelled()

    serve(scenario)


def test_events_come_as_they_happen_with_old_and_new_fields(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream = await api.open()
        stream.writer.write(
            b"GET /events?filters=%7B%22type%22:%7B%22container%22:true%7D%7D HTTP/1.1\r\nHost: d\r\n\r\n"
        )
        assert (await stream.head())[0] == 200
        api.engine.events.emit("network", "create", "n", {})
        api.engine.events.emit("container", "start", "c", {"image": "busybox", "name": "web"})
        event = json.loads(await stream.piece())
        assert event["status"] == event["Action"] == "start"
        assert event["id"] == event["Actor"]["ID"] == "c"
        assert (event["from"], event["scope"], event["Type"]) == ("busybox", "local", "container")
        assert event["timeNano"] // 10**9 == event["time"]
        stream.close()

    serve(scenario)


def test_past_events_end_with_the_moment_asked_for(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.events.emit("volume", "create", "v", {"driver": "local"})
        until = time.time() + 0.001
        await asyncio.sleep(0.002)
        for query in (f"since=0&until={until:.9f}", f"until={until:.9f}"):
            answer = await api.ask("GET", f"/events?{query}")
            (line,) = answer.body.splitlines()
            assert json.loads(line)["Actor"]["ID"] == "v"
            assert "status" not in json.loads(line)

    serve(scenario)
