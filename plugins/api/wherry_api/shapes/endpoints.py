"""Endpoints and networks of containers, both ways."""

from __future__ import annotations

from typing import Any

from wherry.model.networks import EndpointRecord, EndpointSpec
from wherry_api.shapes.read import Fields


def read_endpoint(fields: Fields) -> EndpointSpec:
    """What a client asks for in a network."""
    ipam = fields.section("IPAMConfig")
    return EndpointSpec(
        ipv4_address=ipam.text("IPv4Address"),
        ipv6_address=ipam.text("IPv6Address"),
        link_local_ips=ipam.texts("LinkLocalIPs"),
        links=fields.maybe_texts("Links"),
        aliases=fields.maybe_texts("Aliases"),
        mac_address=fields.text("MacAddress"),
        driver_opts=fields.maybe_text_map("DriverOpts"),
        gw_priority=fields.integer("GwPriority"),
    )


def _ipam_json(spec: EndpointSpec) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if spec.ipv4_address:
        found["IPv4Address"] = spec.ipv4_address
    if spec.ipv6_address:
        found["IPv6Address"] = spec.ipv6_address
    if spec.link_local_ips:
        found["LinkLocalIPs"] = spec.link_local_ips
    return found or None


def endpoint_json(record: EndpointRecord) -> dict[str, Any]:
    """An endpoint with all that was asked for and assigned."""
    spec = record.spec
    return summary_json(record) | {
        "Links": spec.links,
        "Aliases": spec.aliases,
        "DriverOpts": spec.driver_opts,
        "DNSNames": record.dns_names or None,
    }


def summary_json(record: EndpointRecord) -> dict[str, Any]:
    """An endpoint as an item of a list has it: what is assigned, and nulls."""
    address, _, prefix = record.address.partition("/")
    address6, _, prefix6 = record.address6.partition("/")
    return {
        "IPAMConfig": _ipam_json(record.spec),
        "Links": None,
        "Aliases": None,
        "MacAddress": record.mac or record.spec.mac_address,
        "DriverOpts": None,
        "GwPriority": record.spec.gw_priority,
        "NetworkID": record.network_id,
        "EndpointID": record.endpoint_id,
        "Gateway": record.gateway,
        "IPAddress": address,
        "IPPrefixLen": int(prefix or 0),
        "IPv6Gateway": record.gateway6,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": int(prefix6 or 0),
        "DNSNames": None,
    }
