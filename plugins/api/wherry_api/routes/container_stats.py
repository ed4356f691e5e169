"""What a container uses."""

from __future__ import annotations

from aiohttp import web

from wherry.errors import Invalid
from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.stats import stats_json
from wherry_api.streams import closing, json_line


async def stats(call: Call) -> web.StreamResponse:
    """A sample each second until the container is removed; or one, by default with another from shortly before."""
    stream = call.flag("stream", True)
    one_shot = call.version >= (1, 41) and call.flag("one-shot")
    if stream and one_shot:
        raise Invalid("cannot have stream=true and one-shot=true")
    if not stream:
        return call.json(stats_json(await call.engine.containers.stats(call.parameters["id"], pair=not one_shot)))
    async with closing(call.engine.containers.watch_stats(call.parameters["id"])) as samples:
        response = await call.begin("application/json")
        async for sample in samples:
            await response.write(json_line(stats_json(sample)))
    await response.write_eof()
    return response


ROUTES = (Route("GET", "/containers/{id}/stats", stats),)
