"""What is wrong with a place in a network that a caller asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from wherry.errors import Invalid
from wherry.model.containers import Container
from wherry.model.networks import EndpointSpec, NetworkRecord
from wherry_engine.engine.joins import has_own_network

_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}|[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5}")


def check_endpoint(network: NetworkRecord, spec: EndpointSpec, own_aliases: Iterable[str] = ()) -> None:
    """Raise `Invalid` with every fault, in the words clients know. `own_aliases` are given by clients unasked."""
    faults = []
    if network.predefined and (spec.ipv4_address or spec.ipv6_address):
        faults.append("user specified IP address is supported on user defined networks only")
    if network.predefined and set(spec.aliases or ()) - set(own_aliases):
        faults.append("network-scoped alias is supported only for containers in user defined networks")
    for given in filter(None, (spec.ipv4_address, spec.ipv6_address)):
        try:
            address = ip_address(given)
        except ValueError:
            faults.append(f"invalid IP{'v6' if given == spec.ipv6_address else 'v4'} address: {given}")
            continue
        subnets = [ip_network(pool.subnet) for pool in network.spec.pools if not pool.chosen]
        if not subnets and not network.predefined:
            faults.append(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
        elif not network.predefined and not any(address in subnet for subnet in subnets):
            faults.append(f"no configured subnet or ip-range contain the IP address {given}")
    if spec.mac_address and not _MAC.fullmatch(spec.mac_address):
        faults.append(f"invalid MAC address {spec.mac_address}")
    if faults:
        listed = faults[0] if len(faults) == 1 else "* " + "\n* ".join(faults)
        raise Invalid(f"invalid endpoint settings:\n{listed}")


def check_company(container: Container, network: NetworkRecord) -> None:
    """Raise `Invalid` if the container's networks and this one exclude each other."""
    mode = container.host.network_mode
    if network.spec.driver == "host" and mode != "host":
        raise Invalid("cannot connect container to host network - container must be created in host network mode")
    if not has_own_network(container.host):
        raise Invalid(
            "container sharing network namespace with another container or host cannot be connected to any other network"
        )
    if network.name == "none" or "none" in container.networks:
        raise Invalid(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
