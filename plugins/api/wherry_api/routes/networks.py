"""Networks."""

from __future__ import annotations

from aiohttp import web

from wherry.errors import NotFound
from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.endpoints import read_endpoint
from wherry_api.shapes.networks import network_json, read_network
from wherry_engine.engine.filters import NETWORK_KEYS, PRUNE_KEYS, parse_filters, select_networks


async def list_networks(call: Call) -> web.StreamResponse:
    """All; which containers are attached is told by inspection alone."""
    networks = call.engine.networks
    chosen = select_networks(
        networks.list(),
        parse_filters(call.text("filters"), NETWORK_KEYS),
        used=lambda id: any(place.endpoint_id for _, place in networks.containers(id).values()),
    )
    return call.json([network_json(each, {}) for each in chosen])


async def inspect(call: Call) -> web.StreamResponse:
    """One, with the containers attached to it. `verbose` adds to networks of a swarm alone."""
    scope, ref = call.text("scope"), call.parameters["id"]
    record = call.engine.networks.get(ref)
    if scope not in ("", "local"):
        raise NotFound(f"network {ref} not found in scope {scope}")
    return call.json(network_json(record, call.engine.networks.containers(record.id)))


async def create(call: Call) -> web.StreamResponse:
    """Make one."""
    spec = read_network(await call.fields())
    id, warning = await call.finish(call.engine.networks.create(spec))
    return call.json({"Id": id, "Warning": warning}, 201)


async def remove(call: Call) -> web.StreamResponse:
    """Remove it."""
    await call.finish(call.engine.networks.remove(call.parameters["id"]))
    return call.empty()


async def prune(call: Call) -> web.StreamResponse:
    """Remove those that no container is attached to."""
    filters = parse_filters(call.text("filters"), PRUNE_KEYS)
    return call.json({"NetworksDeleted": list(await call.finish(call.engine.networks.prune(filters))) or None})


async def connect(call: Call) -> web.StreamResponse:
    """Give a container a place in it."""
    fields = await call.fields()
    container, spec = fields.text("Container"), read_endpoint(fields.section("EndpointConfig"))
    if not container:
        fields.fault("Container", "is required")
    fields.check()
    await call.finish(call.engine.memberships.connect(call.parameters["id"], container, spec))
    return call.empty(200)


async def disconnect(call: Call) -> web.StreamResponse:
    """Take a container's place in it away."""
    fields = await call.fields()
    container, force = fields.text("Container"), fields.boolean("Force")
    if not container:
        fields.fault("Container", "is required")
    fields.check()
    await call.finish(call.engine.memberships.disconnect(call.parameters["id"], container, force))
    return call.empty(200)


ROUTES = (
    Route("GET", "/networks", list_networks),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("GET", "/networks/{id}", inspect),
    Route("DELETE", "/networks/{id}", remove),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/disconnect", disconnect),
)
