"""Volumes."""

from __future__ import annotations

from aiohttp import web

from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.volumes import read_volume, volume_json
from wherry_engine.engine.filters import VOLUME_KEYS, VOLUME_PRUNE_KEYS, Filters, parse_filters, select_volumes


async def list_volumes(call: Call) -> web.StreamResponse:
    """All of them."""
    volumes = call.engine.volumes
    chosen = select_volumes(
        volumes.list(),
        parse_filters(call.text("filters"), VOLUME_KEYS),
        used=lambda name: bool(volumes.users(name)),
    )
    return call.json({"Volumes": [volume_json(each) for each in chosen], "Warnings": None})


async def create(call: Call) -> web.StreamResponse:
    """Make one; one of the same name and driver is given back as it is."""
    spec = read_volume(await call.fields())
    return call.json(volume_json(await call.finish(call.engine.volumes.create(spec))), 201)


async def inspect(call: Call) -> web.StreamResponse:
    """All about one."""
    return call.json(volume_json(call.engine.volumes.get(call.parameters["name"])))


async def remove(call: Call) -> web.StreamResponse:
    """Remove it."""
    await call.finish(call.engine.volumes.remove(call.parameters["name"], call.flag("force")))
    return call.empty()


async def prune(call: Call) -> web.StreamResponse:
    """Remove those that no container refers to. Before 1.42 there was no other choice than all of them."""
    filters = parse_filters(call.text("filters"), VOLUME_PRUNE_KEYS)
    if call.version < (1, 42):
        filters = Filters({**filters.values, "all": ("true",)})
    removed, freed = await call.finish(call.engine.volumes.prune(filters))
    return call.json({"VolumesDeleted": list(removed), "SpaceReclaimed": freed})


ROUTES = (
    Route("GET", "/volumes", list_volumes),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("DELETE", "/volumes/{name}", remove),
)
