"""A container's places in networks: planned before the intent is recorded, made at start, taken away at its end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import attrs

from wherry.errors import Forbidden, Invalid, NotFound
from wherry.model.containers import Container
from wherry.model.names import new_id
from wherry.model.networks import Attachment, EndpointRecord, EndpointState, NetworkRecord, PortMapping
from wherry.model.sandboxes import Sandbox
from wherry.spec.network import NetworkDriver
from wherry_engine.engine import ipam
from wherry_engine.engine.broadcasts import Broadcasts
from wherry_engine.engine.default_bridge import gateway_of
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.endpoint_views import Located, by_gateway, locate, ordered
from wherry_engine.engine.joins import has_own_network, other
from wherry_engine.engine.leases import Leases
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.publishing import PREFIX, Publisher
from wherry_engine.engine.resolv_conf import ResolvConf, by_resolver, direct, of_host, with_defaults
from wherry_engine.engine.sandbox_views import Records, is_named, view
from wherry_engine.engine.sandboxes import Sandboxes
from wherry_engine.work import Pool


class Endpoints:
    """Endpoints, addresses, sandboxes and published ports of containers."""

    def __init__(
        self, networks: Networks, drivers: Drivers, sandboxes: Sandboxes, broadcasts: Broadcasts, dns: ResolvConf,
        host_gateway: str,
    ) -> None:  # fmt: skip
        """`dns` is what containers are told that do not say otherwise; `host_gateway` is in place of the default one."""
        self._networks, self._drivers, self._sandboxes = networks, drivers, sandboxes
        self._broadcasts, self._dns, self._host_gateway = broadcasts, dns, host_gateway
        self._pool = Pool("sandboxes", 4)
        self._publisher = Publisher(networks, drivers)
        self._leases = Leases(networks)

    def adopt(self, container: Container) -> None:
        """At the engine's start: a running container has these addresses."""
        self._leases.adopt(container)

    # --- what a start will make ---

    async def plan(self, container: Container) -> dict[str, EndpointRecord]:
        """The endpoints that a start will make, with ids, names and addresses, which are reserved from now on; their networks
        stay until `entered`.

        Raises `NotFound` for a network that is gone, `Conflict` and `Invalid` for addresses that cannot be had.
        """
        planned: dict[str, EndpointRecord] = {}
        try:
            for number, (name, wished) in enumerate(ordered(container)):
                network = self._find(name, wished)
                planned[network.name] = await self._plan_one(container, network, wished, f"eth{number}")
        except BaseException as error:
            self.release(container.id)
            self.entered(container.id)
            if isinstance(error, Forbidden | Invalid | NotFound):
                raise type(error)(f"{PREFIX}{error.text}") from error
            raise
        return planned

    def _find(self, name: str, wished: EndpointRecord) -> NetworkRecord:
        known = self._networks.table.get(wished.network_id) if wished.network_id else None
        return known or self._networks.get(name)

    async def _plan_one(
        self, container: Container, network: NetworkRecord, wished: EndpointRecord, interface: str
    ) -> EndpointRecord:
        self._networks.arrivals.enter(network, container.id)
        driver = await self._networks.driver(network)
        record = EndpointRecord(network_id=network.id, spec=wished.spec, endpoint_id=new_id(), interface=interface)
        if not driver.cls.ADDRESSES:
            return record
        record = self._leases.assign(network, container, record)
        return attrs.evolve(
            record,
            mac=wished.spec.mac_address or container.config.mac_address or ipam.mac_for(record.addresses[0]),
            dns_names=dns_names(container, network, wished),
        )

    async def plan_more(self, container: Container, network: NetworkRecord, wished: EndpointRecord) -> EndpointRecord:
        """One more endpoint for a running container, its address reserved; its network stays until `entered`."""
        taken = {record.interface for record in container.networks.values()}
        number = next(n for n in range(len(taken) + 1) if f"eth{n}" not in taken)
        return await self._plan_one(container, network, wished, f"eth{number}")

    def entered(self, container_id: str) -> None:
        """What was planned is in the container's record, or has been given up."""
        self._networks.arrivals.entered(container_id)

    def release(self, container_id: str) -> None:
        """Its addresses may be handed out again."""
        self._leases.release(container_id)

    def release_one(self, record: EndpointRecord) -> None:
        """This endpoint's addresses may be handed out again."""
        self._leases.release_one(record)

    # --- making and taking away ---

    def netns(self, container: Container) -> Path | None:
        """The container's network namespace; None is the host's."""
        mode = container.host.network_mode
        if mode == "host":
            return None
        return self._sandboxes.path(other(mode) or container.id)

    async def attach(self, container: Container, planned: Records) -> None:
        """Make the sandbox with all its interfaces and routes."""
        if not has_own_network(container.host):
            return
        await self._pool.run("container.start.sandbox", lambda: self._sandboxes.create(container.id))
        await self._wire(container, planned, running=False)

    async def rewire(self, container: Container, records: Records) -> None:
        """In a running container: make what is missing of these interfaces, and set the routes."""
        await self._wire(container, records, running=True)

    async def _wire(self, container: Container, records: Records, *, running: bool) -> None:
        """Attach the container to each network, which it may be already, and set its routes."""
        made: list[tuple[str, Attachment]] = []
        for record in records.values():
            place = await locate(self._networks, container, record)
            attachment = await self._drivers.call(
                "network.rewire.attach" if running else "container.start.attach",
                place.driver,
                partial(self._attach_one, place),
            )
            if attachment is not None:
                made.append((record.interface, _led(attachment, place.record)))
        order = [record.interface for record in by_gateway(records)]
        await self._pool.run(
            "network.rewire.routes" if running else "container.start.routes",
            lambda: self._sandboxes.configure(container.id, made, order),
        )
        await self._broadcasts.sandbox_ready(self.sandbox(container, records))

    def _attach_one(self, place: Located, hook: NetworkDriver) -> Attachment | None:
        netns = self._sandboxes.open(place.endpoint.container_id)
        try:
            return hook.attach(network=place.network, endpoint=place.endpoint, netns=netns)
        finally:
            os.close(netns)

    async def renew(self, container: Container) -> None:
        """Ask once more for all that a running container has in networks; what is there is left as it is."""
        await self.rewire(container, container.networks)
        await self._publisher.renew(container)

    def sandbox(self, container: Container, records: Records) -> Sandbox:
        """The container's sandbox as services see it."""
        asking = attrs.evolve(container, host=with_defaults(container.host, self._dns))
        return view(asking, records, self._sandboxes.path(container.id), self._networks.table.get)

    def resolv_conf(self, container: Container, planned: Records) -> ResolvConf:
        """What its resolver is told: where there are names, to ask ours."""
        host = with_defaults(container.host, self._dns)
        if is_named(planned, self._networks.table.get):
            return by_resolver(host)
        return of_host(host) if host.network_mode == "host" else direct(host)

    def host_gateway(self) -> str:
        """An address by which containers reach their host: the gateway of the default network; "" if there is none."""
        default = next((n for n in self._networks.table if n.predefined and n.spec.pools), None)
        return self._host_gateway or (default.spec.used_pools[0].gateway if default else "")

    def named(self, container: Container) -> Container:
        """The container, with the names by which others find it made from what it is called now."""
        networks = {}
        for name, record in container.networks.items():
            network = self._networks.table.get(record.network_id)
            if network is not None and record.dns_names:
                record = attrs.evolve(record, dns_names=dns_names(container, network, record))
            networks[name] = record
        return attrs.evolve(container, networks=networks)

    async def tell_names(self, container: Container) -> None:
        """Tell the services that a running container's names have changed."""
        if container.state.alive and has_own_network(container.host):
            await self._broadcasts.sandbox_ready(self.sandbox(container, container.networks))

    def sandboxes_of(self, containers: Iterable[Container]) -> list[Sandbox]:
        """Those of running containers that have their own."""
        return [self.sandbox(c, c.networks) for c in containers if c.state.alive and has_own_network(c.host)]

    async def publish(self, container: Container, planned: Records, processes: Processes) -> tuple[PortMapping, ...]:
        """Reserve the requested host ports and lead them to the container; returns them, the chosen ones filled in."""
        return await self._publisher.publish(container, planned, processes)

    async def join(self, container: Container, records: Records, processes: Processes) -> tuple[PortMapping, ...]:
        """Let a running container have these endpoints, one more than before; returns what is published then."""
        await self.rewire(container, records)
        return await self._publisher.follow(container, records, processes)

    async def leave(self, container: Container, gone: EndpointRecord, processes: Processes) -> tuple[PortMapping, ...]:
        """Take this endpoint away and bring the others into order; returns what is published then."""
        place = await locate(self._networks, container, gone)
        network = place.network
        await self._drivers.call(
            "network.leave.detach",
            place.driver,
            lambda hook: hook.detach(network=network, endpoint=place.endpoint, netns=None),
        )
        if not self._sandboxes.has(container.id):
            return ()  # the container has ended, as all do with the host
        await self.rewire(container, container.networks)
        return await self._publisher.lead(container, processes)

    async def detach(self, container: Container, records: Records, processes: Processes) -> None:
        """Take away all that a start made; what is missing already is fine."""
        await processes.release_ports(container.id)
        if has_own_network(container.host):
            await self._broadcasts.sandbox_gone(container.id)
            for record in records.values():
                if record.endpoint_id and self._networks.table.get(record.network_id):
                    await self._detach_one(container, record)
            await self._pool.run("container.end.sandbox", lambda: self._sandboxes.remove(container.id))
        self.release(container.id)

    async def _detach_one(self, container: Container, record: EndpointRecord) -> None:
        place = await locate(self._networks, container, record)
        network = place.network

        def detach(hook: NetworkDriver) -> None:
            try:
                netns: int | None = self._sandboxes.open(container.id)
            except NotFound:
                netns = None
            try:
                hook.detach(network=network, endpoint=place.endpoint, netns=netns)
            finally:
                if netns is not None:
                    os.close(netns)

        await self._drivers.call("container.end.detach", place.driver, detach)

    async def state(self, container: Container) -> list[tuple[str, EndpointState]]:
        """What a running container's drivers must show: (network id, endpoint with the ports that lead to it)."""
        shares = await self._publisher.shares(container)
        states = []
        for record in container.networks.values():
            if record.endpoint_id and self._networks.table.get(record.network_id):
                place = await locate(self._networks, container, record)
                ports = shares.get(record.endpoint_id, ())
                states.append((record.network_id, EndpointState(place.endpoint, ports)))
        return states


def _led(attachment: Attachment, network: NetworkRecord) -> Attachment:
    """With the gateways that containers are to have, where they are not the network's own."""
    others = {pool.gateway: gateway_of(pool) for pool in network.spec.used_pools}
    return attrs.evolve(attachment, gateways=tuple(others.get(each, each) for each in attachment.gateways))


def dns_names(container: Container, network: NetworkRecord, wished: EndpointRecord) -> tuple[str, ...]:
    """The names by which others of a user-defined network find the container."""
    if network.predefined:
        return ()
    names = (container.name, *(wished.spec.aliases or ()), container.id[:12], container.config.hostname)
    return tuple(dict.fromkeys(name for name in names if name))
