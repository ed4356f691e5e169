"""What else is done to containers: pause, rename, update, top, prune."""

from __future__ import annotations

from aiohttp import web

from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.create import read_update
from wherry_engine.engine.filters import PRUNE_KEYS, parse_filters


async def pause(call: Call) -> web.StreamResponse:
    """Freeze it."""
    await call.finish(call.engine.containers.pause(call.parameters["id"]))
    return call.empty()


async def unpause(call: Call) -> web.StreamResponse:
    """Let it go on."""
    await call.finish(call.engine.containers.unpause(call.parameters["id"]))
    return call.empty()


async def rename(call: Call) -> web.StreamResponse:
    """Give it another name."""
    await call.finish(call.engine.containers.rename(call.parameters["id"], call.text("name")))
    return call.empty()


async def update(call: Call) -> web.StreamResponse:
    """Change its limits and its restart policy."""
    limits, policy = read_update(await call.fields())
    await call.finish(call.engine.containers.update(call.parameters["id"], limits, policy))
    return call.json({"Warnings": None})


async def top(call: Call) -> web.StreamResponse:
    """Its processes."""
    titles, rows = await call.engine.containers.top(call.parameters["id"], call.text("ps_args"))
    return call.json({"Titles": titles, "Processes": rows})


async def prune(call: Call) -> web.StreamResponse:
    """Remove all that do not run."""
    filters = parse_filters(call.text("filters"), PRUNE_KEYS)
    pruned = await call.finish(call.engine.containers.prune(filters))
    return call.json({"ContainersDeleted": pruned.removed or None, "SpaceReclaimed": pruned.space})


ROUTES = (
    Route("POST", "/containers/{id}/pause", pause),
    Route("POST", "/containers/{id}/unpause", unpause),
    Route("POST", "/containers/{id}/rename", rename),
    Route("POST", "/containers/{id}/update", update),
    Route("GET", "/containers/{id}/top", top),
    Route("POST", "/containers/prune", prune),
)
