"""The stream of events."""

from __future__ import annotations

import asyncio

from aiohttp import web

from wherry.errors import Invalid
from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.events import event_json
from wherry_api.shapes.times import moment_of
from wherry_api.streams import closing, json_line
from wherry_engine.engine.event_filters import EVENT_KEYS, event_matcher
from wherry_engine.engine.filters import parse_filters


async def events(call: Call) -> web.StreamResponse:
    """Events since a moment, if one is given, then those to come, until another moment or for ever."""
    since = moment_of("since", call.text("since")) if call.text("since") else None
    until = moment_of("until", call.text("until")) if call.text("until") else None
    if since is not None and until is not None and since > until:
        raise Invalid(f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})")
    if until is not None and since is None:
        since = 0  # who says only how far means all that is kept, too
    matches = event_matcher(parse_filters(call.text("filters"), EVENT_KEYS))
    async with closing(call.engine.events.subscribe(since, until)) as found:
        first = asyncio.ensure_future(anext(found, None))
        try:
            await asyncio.sleep(0)  # listening begins with this, and must not begin after the headers are sent
            response = await call.begin("application/json")
            event = await first
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        while event is not None:
            if matches(event):
                await response.write(json_line(event_json(event)))
            event = await anext(found, None)
    await response.write_eof()
    return response


ROUTES = (Route("GET", "/events", events),)
