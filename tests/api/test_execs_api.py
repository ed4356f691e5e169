"""Execs over HTTP: created, started, connected to, inspected."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

import pytest
from tests.api.conftest import Served, Stream
from tests.api.fake_engine import running_container
from tests.api.fake_execs import FakeProcess

from wherry.errors import Conflict, Invalid
from wherry.model.execs import ExecSpec
from wherry_api.streams import frame

Serve = Callable[..., None]
ALL = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True}


async def created(api: Served, **body: object) -> str:
    answer = await api.ask("POST", "/containers/web/exec", {"Cmd": ["cat"], **body})
    assert answer.status == 201
    id = answer.value["Id"]
    assert isinstance(id, str)
    return id


async def started(
    api: Served, id: str, extra: bytes = b"", *, upgrade: bool = True, body: bytes = b"{}"
) -> tuple[Stream, FakeProcess]:
    """A client that has asked to start it and has sent `extra` at once, and the process."""
    stream = await api.open()
    fields = ["Host: d", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    fields += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
    stream.writer.write("\r\n".join([f"POST /exec/{id}/start HTTP/1.1", *fields, "", ""]).encode() + body + extra)
    return stream, await api.engine.execs.started.get()


async def read(fd: int, size: int) -> bytes:
    """Exactly so many bytes of a pipe, or fewer at its end."""
    found = b""
    while len(found) < size and (data := await asyncio.to_thread(os.read, fd, size - len(found))):
        found += data
    return found


def test_a_creation_turns_the_body_into_a_spec(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        body = {
            "Cmd": ["sh", "-c", "x"], "Env": ["A=1"], "User": "1:2", "WorkingDir": "/w", "Tty": True, "Privileged": True,
            "AttachStdin": True, "AttachStdout": True, "DetachKeys": "ctrl-a,b", "ConsoleSize": [3, 4],
        }  # fmt: skip
        id = await created(api, **body)
        assert api.engine.execs.calls == [
            ("create", "web", ExecSpec(
                command=("sh", "-c", "x"), env=("A=1",), user="1:2", working_dir="/w", tty=True, privileged=True,
                stdin=True, stdout=True, detach_keys=b"\x01b", console_size=(3, 4),
            ))
        ]  # fmt: skip
        shown = (await api.ask("GET", f"/exec/{id}/json")).value
        assert shown == {
            "ID": id, "Running": False, "ExitCode": None, "OpenStdin": True, "OpenStdout": True, "OpenStderr": False,
            "CanRemove": False, "ContainerID": "c" * 64, "DetachKeys": "AWI=", "Pid": 0,
            "ProcessConfig": {"tty": True, "entrypoint": "sh", "arguments": ["-c", "x"], "privileged": True, "user": "1:2"},
        }  # fmt: skip

    serve(scenario)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"Cmd": 5}, "Cmd must be"),
        ({"Cmd": ["x"], "ConsoleSize": [1]}, "ConsoleSize must be two numbers"),
        ({"Cmd": ["x"], "DetachKeys": "ctrl-0"}, "Invalid detach keys"),
    ],
)
def test_a_wrong_creation_is_refused(serve: Serve, body: object, text: str) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", "/containers/web/exec", body)
        assert (answer.status, text in answer.message) == (400, True)

    serve(scenario)


def test_streams_are_carried_both_ways_with_the_end_of_input(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        id = await created(api, **ALL)
        stream, process = await started(api, id, b"early ")
        status, headers = await stream.head()
        assert (status, headers["content-type"]) == (101, "application/vnd.docker.multiplexed-stream")
        stream.writer.write(b"late")
        stream.writer.write_eof()
        assert await read(process.fds["stdin"], 11) == b"early late"
        os.write(process.fds["stdout"], b"out")
        os.write(process.fds["stderr"], b"err")
        both = await stream.reader.readexactly(22)
        assert sorted([both[:11], both[11:]]) == [frame("stdout", b"out"), frame("stderr", b"err")]
        process.close("stdout", "stderr")
        await asyncio.sleep(0.05)
        assert not stream.reader.at_eof()  # its end is told only when its exit code is known
        api.engine.execs.end(process, 3)
        assert await stream.reader.read() == b""
        assert (await api.ask("GET", f"/exec/{id}/json")).value["ExitCode"] == 3
        stream.close()

    serve(scenario)


def test_framing_is_what_the_start_asks_for(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        id = await created(api, **ALL)
        stream, process = await started(api, id, body=b'{"Tty": true}')
        assert (await stream.head())[1]["content-type"] == "application/vnd.docker.raw-stream"
        os.write(process.fds["stdout"], b"plain")
        assert await stream.reader.readexactly(5) == b"plain"
        process.close("stdout", "stderr")
        api.engine.execs.end(process, 0)
        stream.close()

    serve(scenario)


def test_a_client_without_upgrade_gets_the_stream_too(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream, process = await started(api, await created(api, **ALL), upgrade=False)
        assert (await stream.head())[0] == 200
        os.write(process.fds["stdout"], b"out")
        assert await stream.reader.readexactly(11) == frame("stdout", b"out")
        api.engine.execs.end(process, 0)
        assert await stream.reader.read() == b""
        stream.close()

    serve(scenario)


def test_a_process_whose_client_has_left_goes_on_and_its_output_is_dropped(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream, process = await started(api, await created(api, **ALL))
        await stream.head()
        stream.close()
        assert await read(process.fds["stdin"], 1) == b""
        for _ in range(40):
            await asyncio.to_thread(os.write, process.fds["stdout"], b"x" * 60_000)
        api.engine.execs.end(process, 0)
        await process.streams.ended.wait()

    serve(scenario)


def test_a_client_that_leaves_during_the_start_leaves_nothing_stuck(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.execs.delay = 0.2
        id = await created(api, **ALL)
        stream = await api.open()
        stream.writer.write(b"POST /exec/" + id.encode() + b"/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.1)
        stream.close()
        process = await api.engine.execs.started.get()
        for _ in range(10):
            await asyncio.to_thread(os.write, process.fds["stdout"], b"x" * 60_000)
        api.engine.execs.end(process, 0)
        await process.streams.ended.wait()

    serve(scenario)


async def fill(pipe: int) -> int:
    """Write until nobody reads any more; the bytes that were taken."""
    os.set_blocking(pipe, False)
    written = 0
    while written < 1 << 26:
        try:
            written += os.write(pipe, b"o" * 65536)
        except BlockingIOError:
            return written
        await asyncio.sleep(0.002)
    raise AssertionError("the output was never stopped")


def test_a_slow_client_stops_the_output_and_a_slow_process_the_input(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream, process = await started(api, await created(api, **ALL))
        await stream.head()
        written = await fill(process.fds["stdout"])
        data = os.urandom(1 << 22)
        sending = asyncio.create_task(_send(stream, data))
        await asyncio.sleep(0.1)
        assert not sending.done()
        assert await read(process.fds["stdin"], len(data)) == data
        await sending
        api.engine.execs.end(process, 0)
        assert len((await stream.reader.read()).replace(b"\1\0\0\0", b"")) >= written
        stream.close()

    serve(scenario)


async def _send(stream: Stream, data: bytes) -> None:
    stream.writer.write(data)
    stream.writer.write_eof()
    await stream.writer.drain()


def test_why_a_program_could_not_begin_is_said_in_the_stream(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        id = await created(api, **ALL)
        api.engine.execs.failure = Invalid("OCI runtime exec failed: no such thing: unknown")
        stream = await api.open()
        stream.writer.write(b"POST /exec/" + id.encode() + b"/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        await stream.head()
        assert await stream.reader.read() == frame("stdout", b"OCI runtime exec failed: no such thing: unknown\r\n")
        stream.close()
        answer = await api.ask("POST", f"/exec/{id}/start", {"Detach": True})
        assert (answer.status, answer.message) == (400, "OCI runtime exec failed: no such thing: unknown")

    serve(scenario)


def test_a_detached_start_answers_at_once(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        id = await created(api)
        answer = await api.ask("POST", f"/exec/{id}/start", {"Detach": True, "Tty": True, "ConsoleSize": [5, 6]})
        assert (answer.status, answer.body) == (200, b"")
        assert api.engine.execs.calls[-1] == ("start", (5, 6))
        process = await api.engine.execs.started.get()
        api.engine.execs.end(process, 0)

    serve(scenario)


def test_a_second_start_and_what_is_not_there_are_refused(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        id = await created(api)
        await api.ask("POST", f"/exec/{id}/start", {"Detach": True})
        answer = await api.ask("POST", f"/exec/{id}/start", {})
        assert (answer.status, answer.message) == (409, f"error: Exec command {id} is already running")
        api.engine.execs.end(await api.engine.execs.started.get(), 0)
        for method, path in (("POST", "/exec/x/start"), ("GET", "/exec/x/json"), ("POST", "/exec/x/resize?h=1&w=1")):
            answer = await api.ask(method, path, {} if method == "POST" else None)
            assert (answer.status, answer.message) == (404, "No such exec instance: x")
        api.engine.execs.failure = Conflict("container abc is not running")
        answer = await api.ask("POST", "/containers/web/exec", {"Cmd": ["true"]})
        assert (answer.status, answer.message) == (409, "container abc is not running")

    serve(scenario)


def test_resize_and_the_ids_of_a_container(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        container = api.engine.containers.add(running_container("web"))
        assert (await api.ask("GET", "/containers/web/json")).value["ExecIDs"] is None
        id = await created(api)
        assert (await api.ask("POST", f"/exec/{id}/resize?h=10&w=20")).status == 200
        assert api.engine.execs.calls[-1] == ("resize", id, 10, 20)
        answer = await api.ask("POST", f"/exec/{id}/resize?h=10")
        assert answer.status == 400
        found = api.engine.execs.all[id]
        api.engine.execs.all[id] = type(found)(id=id, container_id=container.id, spec=found.spec)
        assert json.loads((await api.ask("GET", "/containers/web/json")).body)["ExecIDs"] == [id]

    serve(scenario)
