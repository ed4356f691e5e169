"""Containers: listing, making, inspecting and changing what they do."""

from __future__ import annotations

import time

from aiohttp import web

from wherry.errors import Invalid
from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.routes.system import hint
from wherry_api.shapes.containers import inspect_json
from wherry_api.shapes.create import read_container
from wherry_api.shapes.summaries import ImageNames, container_json
from wherry_engine.engine.filters import CONTAINER_KEYS, parse_filters, select_containers

_START_BODY = 7  # bytes: an empty object with white space around it


async def list_containers(call: Call) -> web.StreamResponse:
    """The running ones, or all, newest first."""
    engine = call.engine
    chosen = select_containers(
        engine.containers.list(),
        parse_filters(call.text("filters"), CONTAINER_KEYS),
        everything=call.flag("all"),
        limit=call.number("limit") or 0,
        images=engine.images.list,
        find=engine.containers.get,
        find_image=engine.images.get,
    )
    names = ImageNames(engine.images.list() if chosen else ())
    now, version = time.time_ns(), call.version
    items = [container_json(each, names.shown(each.config.image, each.image_id), now, version) for each in chosen]
    if call.flag("size"):
        for each, item in zip(chosen, items, strict=True):
            item["SizeRw"], item["SizeRootFs"] = await engine.containers.size(each.id)
    return call.json(items)


async def create(call: Call) -> web.StreamResponse:
    """Make one, without starting it."""
    hint(call)
    fields = await call.fields()
    spec, warnings = read_container(fields, call.text("name"), call.text("platform"), call.version)
    made = await call.finish(call.engine.containers.create(spec))
    return call.json({"Id": made.id, "Warnings": [*warnings, *made.warnings]}, 201)


async def inspect(call: Call) -> web.StreamResponse:
    """All about one."""
    containers = call.engine.containers
    container = containers.get(call.parameters["id"])
    size = await containers.size(container.id) if call.flag("size") else None
    return call.json(inspect_json(container, containers, call.version, size, call.engine.execs.ids(container)))


async def start(call: Call) -> web.StreamResponse:
    """Start it. A body was once allowed to change its configuration here, and must not be ignored."""
    if len((await call.body()).strip()) > _START_BODY:
        raise Invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    await call.finish(call.engine.containers.start(call.parameters["id"]))
    return call.empty()


def _ending(call: Call) -> tuple[int | None, str | None]:
    """How long to wait before killing, and the signal to send first (since 1.42)."""
    signal = call.text("signal") if call.version >= (1, 42) else ""
    return call.number("t"), signal or None


async def stop(call: Call) -> web.StreamResponse:
    """Ask it to end, and kill it if it does not."""
    timeout, signal = _ending(call)
    await call.finish(call.engine.containers.stop(call.parameters["id"], timeout, signal))
    return call.empty()


async def restart(call: Call) -> web.StreamResponse:
    """Stop and start."""
    timeout, signal = _ending(call)
    await call.finish(call.engine.containers.restart(call.parameters["id"], timeout, signal))
    return call.empty()


async def kill(call: Call) -> web.StreamResponse:
    """Send a signal to its first process."""
    signal = call.text("signal") or "KILL"
    await call.finish(call.engine.containers.kill(call.parameters["id"], signal))
    return call.empty()


async def remove(call: Call) -> web.StreamResponse:
    """Remove it, with its anonymous volumes if `v` is true."""
    work = call.engine.containers.remove(
        call.parameters["id"], force=call.flag("force"), volumes=call.flag("v"), link=call.flag("link")
    )
    await call.finish(work)
    return call.empty()


def terminal_size(call: Call) -> tuple[int, int]:
    """(height, width) as a query gives them. Raises `Invalid`."""
    height, width = call.number("h"), call.number("w")
    if height is None or width is None:
        raise Invalid("h and w, the terminal's height and width in characters, are required")
    if not (0 <= height < 1 << 16 and 0 <= width < 1 << 16):
        raise Invalid(f"a terminal cannot be {height} by {width} characters")
    return height, width


async def resize(call: Call) -> web.StreamResponse:
    """Tell its terminal how large the client's is."""
    height, width = terminal_size(call)
    await call.engine.containers.resize(call.parameters["id"], height, width)
    return call.empty(200)


ROUTES = (
    Route("GET", "/containers/json", list_containers),
    Route("POST", "/containers/create", create),
    Route("GET", "/containers/{id}/json", inspect),
    Route("POST", "/containers/{id}/start", start),
    Route("POST", "/containers/{id}/stop", stop),
    Route("POST", "/containers/{id}/restart", restart),
    Route("POST", "/containers/{id}/kill", kill),
    Route("POST", "/containers/{id}/resize", resize),
    Route("DELETE", "/containers/{id}", remove),
)
