"""What goes on while a container runs: its logs, its streams, and its end."""

from __future__ import annotations

import time

import attrs
import orjson
from aiohttp import web

from wherry.errors import Invalid, WherryError
from wherry.model.containers import Container
from wherry.model.logs import LogQuery
from wherry_api import websockets
from wherry_api.call import Call
from wherry_api.hijack import ClientEnd, Taken, container_end, relay, take_over
from wherry_api.router import Route
from wherry_api.shapes.keys import DETACH, detach_keys
from wherry_api.shapes.logs import details_text, formatter
from wherry_api.shapes.times import moment_of
from wherry_api.streams import Batch, Write, closing, content_type, frame

CONDITIONS = ("not-running", "next-exit", "removed")


async def wait(call: Call) -> web.StreamResponse:
    """Answer when it has ended. The headers go out at once: clients start a container only after they have them."""
    condition = call.text("condition") if call.version >= (1, 30) else ""
    condition = condition or CONDITIONS[0]
    if condition not in CONDITIONS:
        raise Invalid(f'invalid condition: "{condition}"')
    waiting = call.engine.containers.wait(call.parameters["id"], condition)
    response = await call.begin("application/json")
    try:
        result = await waiting
    except WherryError as error:
        answer: dict[str, object] = {"StatusCode": -1, "Error": {"Message": error.text}}
    else:
        answer = {"StatusCode": result.exit_code}
        if result.error:
            answer["Error"] = {"Message": result.error}
    await response.write_eof(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
    return response


@attrs.frozen(kw_only=True)
class _Format:
    timestamps: bool = False
    details: bytes | None = None  # None leaves them out
    framed: bool = True  # says of each record which stream it is from, unless there is but one


async def logs(call: Call) -> web.StreamResponse:
    """Its output until now, and with `follow` what it writes from now on."""
    container = call.engine.containers.get(call.parameters["id"])
    query = LogQuery(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        follow=call.flag("follow"),
        since_ns=moment_of("since", call.text("since")),
        until_ns=moment_of("until", call.text("until")),
        tail=_tail(call.text("tail")),
    )
    if not (query.stdout or query.stderr):
        raise Invalid("Bad parameters: you must choose at least one stream")
    records = call.engine.containers.logs(container.id, query)
    async with closing(records):
        details = None
        if call.flag("details"):
            details = details_text(await call.engine.containers.log_attributes(container))
        response = await call.begin(content_type(call.version, container.config.tty))
        shown = _Format(timestamps=call.flag("timestamps"), details=details)
        await _write_records(container, records, response.write, shown)
    await response.write_eof()
    return response


def _tail(text: str) -> int | None:
    """How many lines from the end; as in Docker, all that is no such number means all of them."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        return None
    return int(text)


async def _write_records(container: Container, records: object, write: Write, shown: _Format) -> None:
    """Write records until there are no more. A failure on the way is told in the stream itself."""
    plain = container.config.tty or not shown.framed
    form = formatter(tty=plain, timestamps=shown.timestamps, details=shown.details)
    batch = Batch(write)
    try:
        try:
            async for record in records:  # type: ignore[attr-defined]
                await batch.add(form(record))
        except WherryError as error:
            text = f"Error grabbing logs: {error.text}\n".encode()
            await batch.add(text if plain else frame("error", text))
        await batch.end()
    finally:
        await batch.cancel()


@attrs.frozen
class _Asked:
    """What an attach asks for."""

    keys: bytes  # that detach; none without a terminal
    stdin: bool
    closes_stdin: bool
    before: LogQuery  # the streams, and of the log what was written before


def _asked(call: Call, container: Container) -> _Asked:
    config, keys = container.config, detach_keys(call.text("detachKeys")) or DETACH
    return _Asked(
        keys if config.tty else b"",
        call.flag("stdin") and config.open_stdin,
        config.stdin_once and not config.tty,
        LogQuery(stdout=call.flag("stdout"), stderr=call.flag("stderr")),
    )


async def attach(call: Call) -> web.StreamResponse:
    """Take the connection over for the container's streams, after what it has written before if `logs` is true."""
    containers, flag = call.engine.containers, call.flag
    container = containers.get(call.parameters["id"])
    asked = _asked(call, container)
    stdin, before = asked.stdin, asked.before
    await call.body()
    kind = content_type(call.version, container.config.tty)
    if not flag("stream"):
        async with take_over(call.request, kind) as client:
            if flag("logs"):
                await _replay(call, container, client, before)
        return Taken()
    attached = await containers.attach(container.id, stdin=stdin, stdout=before.stdout, stderr=before.stderr)
    async with container_end(attached) as end, take_over(call.request, kind) as client:
        if flag("logs"):
            await _replay(call, container, client, attrs.evolve(before, until_ns=time.time_ns()))
        await relay(client, end, stdin=stdin, closes_stdin=asked.closes_stdin, detach_keys=asked.keys)
    return Taken()


async def attach_by_websocket(call: Call) -> web.StreamResponse:
    """The same over a websocket."""
    containers, flag = call.engine.containers, call.flag
    container = containers.get(call.parameters["id"])
    asked = _asked(call, container)
    websockets.check_asked(call)
    before = attrs.evolve(asked.before, until_ns=time.time_ns() if flag("stream") else 0)
    records = containers.logs(container.id, before) if flag("logs") and (before.stdout or before.stderr) else None
    attached = None
    if flag("stream"):
        attached = await containers.attach(container.id, stdin=asked.stdin, stdout=before.stdout, stderr=before.stderr)
    try:
        socket = await websockets.begin(call)
        send = websockets.sender(call, socket)
        if records is not None:
            async with closing(records):
                await _write_records(container, records, send, _Format(framed=False))
    except BaseException:
        if attached is not None:
            attached.sock.close()
        raise
    if attached is not None:
        await websockets.join(
            socket,
            send,
            attached,
            framed=not container.config.tty,
            stdin=asked.stdin,
            closes_stdin=asked.closes_stdin,
            detach_keys=asked.keys,
        )
    await socket.close()
    return socket


async def _replay(call: Call, container: Container, client: ClientEnd, query: LogQuery) -> None:
    if query.stdout or query.stderr:
        records = call.engine.containers.logs(container.id, query)
        async with closing(records):
            await _write_records(container, records, client.send, _Format())


ROUTES = (
    Route("POST", "/containers/{id}/wait", wait),
    Route("GET", "/containers/{id}/logs", logs),
    Route("POST", "/containers/{id}/attach", attach),
    Route("GET", "/containers/{id}/attach/ws", attach_by_websocket),
)
