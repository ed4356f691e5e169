"""Networks: records, address pools, and their drivers' share of the host."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Conflict, Forbidden, Invalid, NotFound, Unsupported
from wherry.linux.netlink import live_routes
from wherry.model.containers import Container
from wherry.model.names import new_id
from wherry.model.networks import (
    EndpointRecord,
    EndpointState,
    Network,
    NetworkRecord,
    NetworkSpec,
    client_name,
)
from wherry.spec.network import NetworkDriver
from wherry.toolkit.options import unknown_options
from wherry_engine.engine import ipam, network_pools
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.default_bridge import DefaultBridge, pools_from
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.events import Events
from wherry_engine.engine.filter_values import moment
from wherry_engine.engine.filters import Filters
from wherry_engine.engine.network_arrivals import Arrivals
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.catalog import UnknownDriver
from wherry_engine.loader.load import Driver
from wherry_engine.state.codec import from_data, to_data
from wherry_engine.state.database import Change, Database
from wherry_engine.state.table import Table
from wherry_engine.work import Pool

NETWORK_NAME = re.compile(r"(?=.*\S)[^/\x00-\x1f\x7f]+")  # nothing on the host is named after it
SINGLE = ("host", "none")  # drivers of which the predefined network is the only one there can be
PREDEFINED = ("bridge", "host", "none")
RESERVED = (*PREDEFINED, "default")  # the names that nobody can give
NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and '
    "try again."
)

log = logging.getLogger(__name__)


class Networks:
    """The engine's networks, and which containers belong to them."""

    def __init__(
        self, *, database: Database, journal: Journal, drivers: Drivers, events: Events, actors: Actors,
        book: Book, instance: str, address_pools: Sequence[tuple[str, int]], options: Mapping[str, Mapping[str, str]],
    ) -> None:  # fmt: skip
        """`options` are what new networks get that do not say otherwise, by driver. The engine takes IPv4 subnets from
        `address_pools`, and IPv6 subnets from what `instance`, its id, gives.
        """
        self._choices = {4: address_pools, 6: ipam.local_pools(instance)}
        self._options = options
        self._database, self._journal, self._drivers, self._events = database, journal, drivers, events
        self._actors, self._book = actors, book
        self._pool = Pool("networks", 2)
        self._choosing = asyncio.Lock()
        self._planned: dict[str, NetworkSpec] = {}  # subnets and names of networks being created
        self.arrivals = Arrivals()
        self.table: Table[NetworkRecord] = Table(database, "network", NetworkRecord, lambda network: network.id)
        journal.register("network.create", self._undo_create)
        journal.register("network.remove", self._finish_remove)

    # --- reading ---

    def list(self) -> Sequence[NetworkRecord]:
        """All networks, by name."""
        return sorted(self.table, key=lambda network: (network.name, network.id))

    def get(self, ref: str) -> NetworkRecord:
        """The network by name, id, or unique beginning of its id. Raises `NotFound`, or `Invalid` if several match."""
        if found := self.table.get(ref):
            return found
        for match in (
            [n for n in self.table if n.name == ref],
            [n for n in self.table if ref and n.id.startswith(ref)],
        ):
            if len(match) == 1:
                return match[0]
            if match:
                raise Invalid(f"network {ref} is ambiguous ({len(match)} matches found based on ID prefix)")
        raise NotFound(f"network {ref} not found")

    def containers(self, id: str) -> Mapping[str, tuple[Container, EndpointRecord]]:
        """The containers of a network with their endpoints, by container id."""
        return self._book.network_members(id)

    def active(self, id: str) -> Sequence[tuple[Container, EndpointRecord]]:
        """Those of the containers that are attached to the network now."""
        return [(container, place) for container, place in self.containers(id).values() if place.endpoint_id]

    async def driver(self, record: NetworkRecord) -> Driver[NetworkDriver]:
        """The network's driver, loaded."""
        return await self._drivers.get(NetworkDriver, record.spec.driver)

    @staticmethod
    def view(record: NetworkRecord, driver: Driver[NetworkDriver]) -> Network:
        """The network as its driver sees it; options that the driver does not know are kept from it."""
        options = record.spec.options
        ignored = unknown_options(driver.cls.OPTIONS, options)
        return Network(
            id=record.id,
            name=record.name,
            subnets=tuple(pool.subnet for pool in record.spec.used_pools),
            gateways=tuple(pool.gateway for pool in record.spec.used_pools),
            internal=record.spec.internal,
            options=driver.parse("OPTIONS", {k: v for k, v in options.items() if k not in ignored}),
        )

    # --- create and remove ---

    async def create(self, spec: NetworkSpec) -> tuple[str, str]:
        """Make a network; returns its id and a warning ("" if none)."""
        if spec.name in RESERVED:
            raise Forbidden(f"operation is not permitted on predefined {spec.name} network")
        _check(spec)
        spec = attrs.evolve(spec, options={**self._options.get(spec.driver, {}), **spec.options})
        async with self._choosing:
            if any(n.name == spec.name for n in self.table) or any(s.name == spec.name for s in self._planned.values()):
                raise Conflict(f"network with name {spec.name} already exists")
            driver = await self._find_driver(spec.driver)
            record = await self._complete(NetworkRecord(id=new_id(), created_ns=time.time_ns(), spec=spec), driver)
            self._planned[record.id] = record.spec
        try:
            await self._create(record, driver)
        finally:
            del self._planned[record.id]
        return record.id, "; ".join(_warnings(spec, driver))

    async def _create(self, record: NetworkRecord, driver: Driver[NetworkDriver]) -> None:
        network = self.view(record, driver)
        async with self._journal.operation("network.create", record.id, network=to_data(record)) as operation:
            await self._drivers.call("network.create", driver, lambda hook: hook.create_network(network=network))
            await operation.commit(self.table.put(record))
        self._emit("create", record)

    async def _find_driver(self, name: str) -> Driver[NetworkDriver]:
        try:
            return await self._drivers.get(NetworkDriver, name)
        except UnknownDriver as error:
            if name == "overlay":
                raise Forbidden(NO_MANAGER) from error
            raise NotFound(f'plugin "{name}" not found: {error.text}') from error

    async def _complete(self, record: NetworkRecord, driver: Driver[NetworkDriver]) -> NetworkRecord:
        """With a subnet and a gateway in every pool. Raises `Forbidden` or `Invalid` for a pool that cannot be."""
        spec = record.spec
        if not driver.cls.ADDRESSES:
            return record
        if spec.enable_ipv6 and "ipv6" not in driver.cls.FEATURES:
            raise Unsupported(f"the {spec.driver} driver has no IPv6: leave out --ipv6")
        used = {pool.subnet: other.name for other in self._specs(record.id) for pool in other.used_pools}
        routes = await self._pool.run("network.routes", live_routes) if network_pools.is_open(spec) else ()
        return attrs.evolve(record, spec=network_pools.complete(spec, used, routes, self._choices))

    def _specs(self, besides: str) -> Sequence[NetworkSpec]:
        return (*(network.spec for network in self.table if network.id != besides), *self._planned.values())

    async def _undo_create(self, network_id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        if self.table.get(network_id) is None:
            await self._delete(from_data(data["network"], NetworkRecord))
        return ()

    async def remove(self, ref: str) -> None:
        """Remove a network that no container uses."""
        record = self.get(ref)
        async with self._actors.turn(f"network/{record.id}", "removing the network"):
            record = self.get(record.id)
            if record.predefined:
                raise Forbidden(f"{record.name} is a pre-defined network and cannot be removed")
            if active := self.active(record.id):
                users = ", ".join(f'name:"{c.name}" id:"{place.endpoint_id[:12]}"' for c, place in active)
                raise Forbidden(f"error while removing network: network {record.name} has active endpoints ({users})")
            if comers := self.arrivals.of(record.id):
                raise Forbidden(
                    f"error while removing network: container {comers[0]} is being attached to network {record.name}"
                )
            with self.arrivals.ended(record.id):
                await self._journal.forward("network.remove", record.id, network=to_data(record))
        self._emit("destroy", record)

    async def prune(self, filters: Filters) -> Sequence[str]:
        """Remove the networks that no container is attached to; their names."""
        removed = []
        until = min((moment("until", value, time.time_ns()) for value in filters.get("until")), default=None)
        for record in self.list():
            young = until is not None and record.created_ns > until
            if record.predefined or young or self.active(record.id) or not filters.labels(record.spec.labels):
                continue
            try:
                await self.remove(record.id)
            except (Forbidden, NotFound):  # a container came first, or another removal
                continue
            removed.append(record.name)
        self._events.emit("network", "prune", "", {"reclaimed": "0"})
        return removed

    async def _finish_remove(self, network_id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        await self._delete(from_data(data["network"], NetworkRecord))
        return (self.table.drop(network_id),)

    async def _delete(self, record: NetworkRecord) -> None:
        driver = await self.driver(record)
        network = self.view(record, driver)
        await self._drivers.call("network.delete", driver, lambda hook: hook.delete_network(network=network))

    def _emit(self, action: str, record: NetworkRecord, **more: str) -> None:
        self._events.emit("network", action, record.id, {"name": record.name, "type": record.kind, **more})

    # --- the engine's start and end ---

    async def start(self, bridge: DefaultBridge, endpoints: Sequence[tuple[str, EndpointState]]) -> None:
        """Make the predefined networks exist and bring every driver's rules and links to the recorded state.

        `endpoints` are (network id, endpoint with its ports) of the containers that run.
        """
        known = {network.name: network for network in self.table}
        for name in SINGLE:
            if name not in known:
                await self._predefine(NetworkSpec(name=name, driver=name))
        await self._settle(bridge, known.get(bridge.name))
        for name in sorted({network.spec.driver for network in self.table}):
            await self.reconcile(name, endpoints)

    async def _predefine(self, spec: NetworkSpec) -> None:
        record = NetworkRecord(id=new_id(), created_ns=time.time_ns(), spec=spec, predefined=True)
        record = await self._complete(record, await self._drivers.get(NetworkDriver, spec.driver))
        await self._database.commit(self.table.put(record))

    async def _settle(self, bridge: DefaultBridge, record: NetworkRecord | None) -> None:
        """Make the default network what it is to be, unless containers use it as it is."""
        if record is None:
            if bridge.enabled:
                await self._predefine(bridge.spec())
            return
        wanted = bridge.spec()
        wanted = attrs.evolve(wanted, pools=wanted.pools or pools_from(record.spec))
        changed = await self._complete(attrs.evolve(record, spec=wanted), await self.driver(record))
        if bridge.enabled and changed == record:
            return
        if self.active(record.id):
            log.warning("the default network stays as it is while containers are in it; then the next start changes it")
        elif bridge.enabled:
            await self._delete(record)
            await self._database.commit(self.table.put(changed))
        else:
            await self._journal.forward("network.remove", record.id, network=to_data(record))

    def _networks_of(self, driver: Driver[NetworkDriver]) -> tuple[Network, ...]:
        """As the driver sees them."""
        return tuple(self.view(network, driver) for network in self.table if network.spec.driver == driver.name)

    async def differences(self, name: str, endpoints: Sequence[tuple[str, EndpointState]]) -> Sequence[str]:
        """What of a driver's rules is not as recorded, in words; nothing from a driver that cannot tell."""
        driver = await self._drivers.get(NetworkDriver, name)
        networks = self._networks_of(driver)
        states = _states_in(networks, endpoints)
        if not driver.has("differences"):
            return ()
        return await self._drivers.call(
            "check.rules", driver, lambda hook: hook.differences(networks=networks, endpoints=states)
        )

    async def reconcile(self, name: str, endpoints: Sequence[tuple[str, EndpointState]]) -> None:
        """Bring a driver's rules and links to the recorded state; `endpoints` as in `start`."""
        driver = await self._drivers.get(NetworkDriver, name)
        networks = self._networks_of(driver)
        states = _states_in(networks, endpoints)
        if driver.has("reconcile"):
            await self._drivers.call(
                "network.reconcile", driver, lambda hook: hook.reconcile(networks=networks, endpoints=states)
            )
            return
        for network in networks:
            await self._drivers.call(
                "network.reconcile",
                driver,
                lambda hook, n=network: hook.create_network(network=n),  # type: ignore[misc]
            )

    async def renew(self, id: str) -> None:
        """Ask the driver for this network once more, if there is still one. In its actor's turn."""
        record = self.table.get(id)
        if record is not None:
            driver = await self.driver(record)
            view = self.view(record, driver)
            await self._drivers.call("network.renew", driver, lambda hook: hook.create_network(network=view))

    async def stop(self) -> None:
        """Take everything of ours off the host, when no container is left; the records stay."""
        for record in self.list():
            await self._delete(record)


def _states_in(networks: Sequence[Network], endpoints: Sequence[tuple[str, EndpointState]]) -> list[EndpointState]:
    ids = {network.id for network in networks}
    return [state for network_id, state in endpoints if network_id in ids]


def _warnings(spec: NetworkSpec, driver: Driver[NetworkDriver]) -> Iterator[str]:
    if ignored := unknown_options(driver.cls.OPTIONS, spec.options):
        yield f"the {spec.driver} driver does not know the options {', '.join(ignored)}"
    for pool in network_pools.unused(spec):
        yield f"subnet {pool.subnet} is not used: the network has no IPv{pool.version}"


def _check(spec: NetworkSpec) -> None:
    if not NETWORK_NAME.fullmatch(spec.name):
        raise Invalid(f"invalid network name {spec.name!r}: it must not be blank, nor hold / or control characters")
    if spec.driver in (*SINGLE, "null"):
        raise Forbidden(f'only one instance of "{client_name(spec.driver)}" network is allowed')
    if spec.ipam_driver == "null":
        raise Invalid("ipv4 pool is empty: an IPAM driver `null` hands out no addresses")
    if spec.ipam_driver not in ("", "default"):
        raise Invalid(f'plugin "{spec.ipam_driver}" not found: the engine has the IPAM driver `default`')
    if not network_pools.versions(spec):
        raise Invalid("IPv4 or IPv6 must be enabled")
    if spec.ingress:
        raise Invalid("an ingress network needs a swarm, and this engine is not part of one")
