"""Networks, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.errors import Forbidden, Unsupported
from wherry.model.containers import Container
from wherry.model.networks import EndpointRecord, IpamPool, NetworkRecord, NetworkSpec
from wherry_api.shapes.configs import ordered
from wherry_api.shapes.read import Fields
from wherry_api.shapes.times import time_text

Json = dict[str, Any]
Users = Mapping[str, tuple[Container, EndpointRecord]]


def network_json(record: NetworkRecord, users: Users) -> Json:
    """A network, with the containers that are attached to it now."""
    spec = record.spec
    return {
        "Name": spec.name,
        "Id": record.id,
        "Created": time_text(record.created_ns),
        "Scope": "local",
        "Driver": record.kind,
        "EnableIPv4": spec.enable_ipv4,
        "EnableIPv6": spec.enable_ipv6,
        "IPAM": {
            "Driver": spec.ipam_driver,
            "Options": spec.ipam_options,
            "Config": [_pool_json(pool) for pool in spec.pools] or None,
        },
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Ingress": spec.ingress,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            id: _user_json(container, endpoint) for id, (container, endpoint) in users.items() if endpoint.endpoint_id
        },
        "Options": ordered(spec.options),
        "Labels": ordered(spec.labels),
    }


def _pool_json(pool: IpamPool) -> Json:
    found: Json = {"Subnet": pool.subnet}
    if pool.ip_range:
        found["IPRange"] = pool.ip_range
    if pool.gateway:
        found["Gateway"] = pool.gateway
    if pool.auxiliary:
        found["AuxiliaryAddresses"] = pool.auxiliary
    return found


def _user_json(container: Container, endpoint: EndpointRecord) -> Json:
    return {
        "Name": container.name,
        "EndpointID": endpoint.endpoint_id,
        "MacAddress": endpoint.mac,
        "IPv4Address": endpoint.address,
        "IPv6Address": endpoint.address6,
    }


def read_network(body: Fields) -> NetworkSpec:
    """What a client asks for. Raises `Invalid` with all that is wrong, and `Unsupported`."""
    ipam = body.section("IPAM")
    pools = tuple(
        IpamPool(
            subnet=each.text("Subnet"),
            gateway=each.text("Gateway"),
            ip_range=each.text("IPRange"),
            auxiliary=each.text_map("AuxiliaryAddresses") or each.text_map("AuxAddress"),
        )
        for each in ipam.sections("Config")
    )
    if not body.text("Name").strip():
        body.fault("Name", "is required")
    config_only = body.boolean("ConfigOnly") or body.section("ConfigFrom").text("Network")
    scope = body.text("Scope")
    spec = NetworkSpec(
        name=body.text("Name"),
        driver=body.text("Driver") or "bridge",
        internal=body.boolean("Internal"),
        attachable=body.boolean("Attachable"),
        ingress=body.boolean("Ingress"),
        enable_ipv4=body.boolean("EnableIPv4", True),
        enable_ipv6=body.boolean("EnableIPv6"),
        pools=pools,
        ipam_driver=ipam.text("Driver") or "default",
        ipam_options=ipam.maybe_text_map("Options"),
        options=body.text_map("Options"),
        labels=body.text_map("Labels"),
    )
    body.check()
    if config_only:
        raise Unsupported("networks that only hold a configuration for others are not supported")
    if scope not in ("", "local"):
        raise Forbidden(f"cannot create a {scope} scoped network when swarm is not active")
    return spec
