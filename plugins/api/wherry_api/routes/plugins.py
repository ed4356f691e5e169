"""Docker's managed plugins: there are none. Drivers here are Python packages, listed by /info."""

from __future__ import annotations

from aiohttp import web

from wherry.errors import NotFound
from wherry_api.call import Call
from wherry_api.router import Route
from wherry_engine.engine.filters import parse_filters

_KEYS = frozenset(["capability", "enabled"])


async def list_plugins(call: Call) -> web.StreamResponse:
    """None."""
    parse_filters(call.text("filters"), _KEYS)
    return call.json([])


async def inspect(call: Call) -> web.StreamResponse:
    """Clients that look for a name among all kinds of objects ask here as well."""
    raise NotFound(f'plugin "{call.parameters["name"]}" not found')


ROUTES = (
    Route("GET", "/plugins", list_plugins),
    Route("GET", "/plugins/{name}/json", inspect),
)
