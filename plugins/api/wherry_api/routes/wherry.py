"""What Docker's API has no word for. These paths begin with /wherry, so that no operation of Docker's will ever be one of them."""

from __future__ import annotations

from aiohttp import web

from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.wherry import plugin_json


async def plugins(call: Call) -> web.StreamResponse:
    """The installed drivers and what became of each."""
    return call.json([plugin_json(row) for row in await call.engine.plugins()])


ROUTES = (Route("GET", "/wherry/plugins", plugins),)
