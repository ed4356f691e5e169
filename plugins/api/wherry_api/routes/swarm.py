"""Swarm mode: this node is in none. Clients know these answers, and go on looking elsewhere after them."""

from __future__ import annotations

from aiohttp import web

from wherry.errors import Unavailable
from wherry_api.call import Call
from wherry_api.router import Route

KINDS = ("nodes", "services", "tasks", "secrets", "configs")
NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
NO_SWARM = "This node is not part of a swarm"


async def no_manager(_call: Call) -> web.StreamResponse:
    """Only a swarm's manager could answer this."""
    raise Unavailable(NO_MANAGER)


def refuse(path: str) -> None:
    """Raise the same for all other operations of swarm mode, which have no routes yet. Other paths pass."""
    if path == "/swarm/leave":
        raise Unavailable(NO_SWARM)
    if path[1:].partition("/")[0] in ("swarm", *KINDS):
        raise Unavailable(NO_MANAGER)


ROUTES = (
    Route("GET", "/swarm", no_manager),
    *(Route("GET", f"/{kind}", no_manager) for kind in KINDS),
    *(Route("GET", f"/{kind}/{{id}}", no_manager) for kind in KINDS),
)
