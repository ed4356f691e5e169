"""What Docker's API has no word for. These paths begin with /wherry, so that no operation of Docker's will ever be one of them."""

from __future__ import annotations

from aiohttp import web

from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.wherry import finding_json, plugin_json


async def plugins(call: Call) -> web.StreamResponse:
    """The installed drivers and what became of each."""
    return call.json([plugin_json(row) for row in await call.engine.plugins()])


async def check(call: Call) -> web.StreamResponse:
    """What records and host disagree on."""
    return call.json([finding_json(each) for each in await call.engine.check()])


async def repair(call: Call) -> web.StreamResponse:
    """The same, mended as far as that loses nothing."""
    return call.json([finding_json(each) for each in await call.finish(call.engine.repair())])


ROUTES = (
    Route("GET", "/wherry/plugins", plugins),
    Route("GET", "/wherry/check", check),
    Route("POST", "/wherry/repair", repair),
)
