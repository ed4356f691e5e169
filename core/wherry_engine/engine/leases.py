"""Addresses in use: which container has which in which network."""

from __future__ import annotations

import attrs

from wherry.model.containers import Container
from wherry.model.networks import EndpointRecord, IpamPool, NetworkRecord
from wherry_engine.engine import ipam
from wherry_engine.engine.default_bridge import gateway_of
from wherry_engine.engine.networks import Networks


class Leases:
    """Addresses by network, IPv4 and IPv6. In memory: what a container has is recorded in the container."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._held: dict[tuple[str, int], dict[str, str]] = {}  # (network id, IP version): address: container id

    def adopt(self, container: Container) -> None:
        """At the engine's start: a running container has these addresses."""
        for record in container.networks.values():
            for address in record.addresses:
                self._hold(record.network_id, address, container.id)

    def assign(self, network: NetworkRecord, container: Container, record: EndpointRecord) -> EndpointRecord:
        """The endpoint with an address of every IP that the network has, held from now on, and its gateways.

        Raises `Forbidden` if an address asked for is taken, `Invalid` if it is not the network's, `Unavailable` if none is
        left; then it holds none.
        """
        for pool in _first_of_each(network):
            address = self._allocator(network, pool, container.id).allocate(_asked(record, pool.version) or None)
            gateway = "" if network.spec.internal else gateway_of(pool)
            if pool.version == 4:
                record = attrs.evolve(record, address=address, gateway=gateway)
            else:
                record = attrs.evolve(record, address6=address, gateway6=gateway)
        for address in record.addresses:
            self._hold(network.id, address, container.id)
        return record

    def _allocator(self, network: NetworkRecord, pool: IpamPool, container_id: str) -> ipam.Allocator:
        """Addresses that stopped containers asked for by name are handed out to nobody else."""
        members = self._networks.containers(network.id).values()
        asked = [_asked(e, pool.version) for c, e in members if c.id != container_id]
        return ipam.Allocator(
            subnet=pool.subnet,
            gateway=pool.gateway,
            ip_range=pool.ip_range,
            reserved=[*pool.auxiliary.values(), *filter(None, asked)],
            used=self._held.get((network.id, pool.version), {}),
            network=network.name,
        )

    def release(self, container_id: str) -> None:
        """Its addresses may be handed out again."""
        for held in self._held.values():
            for address in [a for a, holder in held.items() if holder == container_id]:
                del held[address]

    def release_one(self, record: EndpointRecord) -> None:
        """This endpoint's addresses may be handed out again."""
        for address in record.addresses:
            self._held.get(_key(record.network_id, address), {}).pop(_bare(address), None)

    def _hold(self, network_id: str, address: str, container_id: str) -> None:
        self._held.setdefault(_key(network_id, address), {})[_bare(address)] = container_id


def _first_of_each(network: NetworkRecord) -> list[IpamPool]:
    """The pools that endpoints get addresses from: the first of each IP."""
    first: dict[int, IpamPool] = {}
    for pool in network.spec.used_pools:
        first.setdefault(pool.version, pool)
    return list(first.values())


def _asked(record: EndpointRecord, version: int) -> str:
    return record.spec.ipv4_address if version == 4 else record.spec.ipv6_address


def _key(network_id: str, address: str) -> tuple[str, int]:
    return network_id, 6 if ":" in address else 4


def _bare(address: str) -> str:
    return address.partition("/")[0]
