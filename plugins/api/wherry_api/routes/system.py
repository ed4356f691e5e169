"""Whether the engine is there, what it is, and what it says of its host."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from wherry.errors import Invalid, Unsupported
from wherry_api.call import Call
from wherry_api.openapi import document_json
from wherry_api.router import Route
from wherry_api.shapes.summaries import ImageNames
from wherry_api.shapes.system import info_json, version_json
from wherry_api.shapes.usage import usage_json

_TYPES = frozenset(["build-cache", "container", "image", "volume"])
log = logging.getLogger("wherry.api")
# Builder 1 is the one without BuildKit's session protocol; clients choose theirs by it.
_PING = {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
    "Content-Type": "text/plain; charset=utf-8",
}


async def ping(call: Call) -> web.StreamResponse:
    """A sign of life, from whose headers clients learn the version to speak. Most ask something else right after."""
    hint(call)
    if call.request.method == "HEAD":
        return web.Response(headers={**call.headers, **_PING, "Content-Length": "0"})
    return web.Response(body=b"OK", headers={**call.headers, **_PING})


def hint(call: Call) -> None:
    """Let the engine prepare for what probably comes next, without waiting for it."""

    async def prepare() -> None:
        try:
            await call.engine.ping_hint()
        except Exception:
            log.exception("preparing for the next request failed")

    call.background.start(prepare())


async def version(call: Call) -> web.StreamResponse:
    """The engine's version."""
    return call.json(version_json(call.engine.version()))


async def info(call: Call) -> web.StreamResponse:
    """The engine and its host."""
    return call.json(info_json(await call.engine.info(), call.version))


async def disk_usage(call: Call) -> web.StreamResponse:
    """What images, containers and volumes take on the disk: all, or those of the types asked for."""
    types = frozenset(call.texts("type")) or _TYPES
    if bad := sorted(types - _TYPES):
        raise Invalid(f"unknown object type: {', '.join(bad)}; known are {', '.join(sorted(_TYPES))}")
    usage = await call.engine.disk_usage(types)
    names = ImageNames(call.engine.images.list() if usage.containers else ())
    return call.json(usage_json(usage, types, names, call.version))


async def prune_cache(call: Call) -> web.StreamResponse:
    """There is no build cache, and so nothing to remove; `docker system prune` asks for it."""
    return call.json({"CachesDeleted": [], "SpaceReclaimed": 0})


async def auth(call: Call) -> web.StreamResponse:
    """Checking credentials for an image registry takes a registry client, which this engine has not."""
    fields = await call.fields(optional=True)
    server = fields.text("serveraddress") or "docker.io"
    fields.check()
    raise Unsupported(f"cannot log in to {server}: this engine does not talk to image registries yet")


async def openapi(call: Call) -> web.StreamResponse:
    """The document that describes all this."""
    body = await asyncio.to_thread(document_json)
    return web.Response(body=body, headers={**call.headers, "Content-Type": "application/json"})


ROUTES = (
    Route("GET", "/openapi.json", openapi),
    Route("GET", "/_ping", ping),
    Route("HEAD", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/system/df", disk_usage),
    Route("POST", "/build/prune", prune_cache),
    Route("POST", "/auth", auth),
)
