"""Published ports of containers: host ports reserved, and led to the endpoints through which a container is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from wherry.errors import Conflict, Failed, Unsupported
from wherry.model.containers import Container
from wherry.model.networks import PortMapping
from wherry_engine.engine.default_bridge import HOST_BINDING
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.endpoint_views import Located, by_gateway, locate
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.ports import ANYWHERE, ANYWHERE6, PortChooser, wanted
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.sandbox_views import Records

PREFIX = "failed to set up container networking: "  # of every start that fails here, as clients know it
Targets = Mapping[int, Located]
"""Where published ports lead, by IP version: the first endpoint that leads out and whose driver can publish."""


@attrs.frozen
class Led:
    """An endpoint, and the published ports that lead to it."""

    place: Located
    ports: tuple[PortMapping, ...]


class Publisher:
    """Reserves ports and has drivers lead them."""

    def __init__(self, networks: Networks, drivers: Drivers) -> None:
        self._networks, self._drivers = networks, drivers
        self._chooser = PortChooser()

    async def publish(self, container: Container, records: Records, processes: Processes) -> tuple[PortMapping, ...]:
        """Reserve the requested host ports and lead them to the container; returns them, the chosen ones filled in."""
        targets = await self._targets(container, records)
        requests = wanted(container.config, container.host, _addresses(targets)) if targets else ()
        if not requests:
            return ()
        _check(container, targets, [mapping for mappings, _ in requests for mapping in mappings])

        async def reserve(ports: Sequence[PortMapping]) -> None:
            await processes.reserve_ports(container.id, ports)

        try:
            ports = await self._chooser.reserve(requests, reserve)
        except (Conflict, Failed) as error:
            raise Failed(f"{_failing(container, targets)}: {error.text}") from error
        for led in _shares(targets, ports).values():
            await self._call("container.start.publish", led)
        return ports

    async def follow(self, container: Container, records: Records, processes: Processes) -> tuple[PortMapping, ...]:
        """A running container has these endpoints now, one more than before: lead its ports; returns what is published."""
        old, new = await self._targets(container, container.networks), await self._targets(container, records)
        if not new or _ids(old) == _ids(new):
            return container.ports
        if not old or not container.ports:
            return await self.publish(container, records, processes)
        before, after = _shares(old, container.ports), _shares(new, container.ports)
        for id, led in before.items():  # no port leads to two endpoints, not even for a moment
            left = after[id].ports if id in after else ()
            if left != led.ports:
                await self._call("network.lead", Led(led.place, tuple(port for port in led.ports if port in left)))
        for id, led in after.items():
            if id not in before or before[id].ports != led.ports:
                await self._call("network.lead", led)
        return container.ports

    async def lead(self, container: Container, processes: Processes) -> tuple[PortMapping, ...]:
        """A running container has lost an endpoint: lead its ports to what it has left; returns what is published.

        As long as anything leads out they stay reserved, also those that have nowhere to lead to for now.
        """
        if not container.ports or not await self._targets(container, container.networks):
            await processes.release_ports(container.id)
            return ()
        await self.renew(container)
        return container.ports

    async def renew(self, container: Container) -> None:
        """Lead a running container's ports once more."""
        targets = await self._targets(container, container.networks) if container.ports else {}
        for led in _shares(targets, container.ports).values():
            await self._call("network.lead", led)

    async def shares(self, container: Container) -> Mapping[str, tuple[PortMapping, ...]]:
        """The ports of a running container by the endpoint that they lead to."""
        targets = await self._targets(container, container.networks)
        return {id: led.ports for id, led in _shares(targets, container.ports).items()}

    async def _call(self, where: str, led: Led) -> None:
        place, network = led.place, led.place.network
        await self._drivers.call(
            where, place.driver, lambda hook: hook.publish(network=network, endpoint=place.endpoint, ports=led.ports)
        )

    async def _targets(self, container: Container, records: Records) -> Targets:
        found: dict[int, Located] = {}
        for record in by_gateway(records):
            if record.endpoint_id and record.addresses:
                place = await locate(self._networks, container, record)
                if place.driver.has("publish") and not place.record.spec.internal:
                    for version, address in ((4, record.address), (6, record.address6)):
                        if address:
                            found.setdefault(version, place)
        return found


def _shares(targets: Targets, ports: Sequence[PortMapping]) -> dict[str, Led]:
    """By endpoint: a host's address of IPv4 leads to the target of IPv4, one of IPv6 to that of IPv6."""
    shares: dict[str, Led] = {}
    for version, place in targets.items():
        known = shares.get(place.endpoint.id, Led(place, ()))
        mine = tuple(port for port in ports if port.version == version)
        shares[place.endpoint.id] = Led(place, known.ports + mine)
    return shares


def _addresses(targets: Targets) -> tuple[str, ...]:
    """The host's addresses of ports that are published without one: all, if the network does not name one of IPv4."""
    found = []
    for version, place in targets.items():
        own = place.record.spec.options.get(HOST_BINDING, ANYWHERE)
        if version == 4 or own == ANYWHERE:
            found.append(own if version == 4 else ANYWHERE6)
    return tuple(found)


def _check(container: Container, targets: Targets, mappings: Sequence[PortMapping]) -> None:
    for mapping in mappings:
        if mapping.version not in targets:
            raise Unsupported(
                f"{_failing(container, targets)}: {mapping.container_port}/{mapping.protocol} cannot be published on "
                f"{mapping.host_address}, as the container has no IPv{mapping.version} address; a network made with "
                f"--ipv{mapping.version} gives it one"
            )


def _failing(container: Container, targets: Targets) -> str:
    endpoint = next(iter(targets.values())).endpoint
    return f"{PREFIX}driver failed programming external connectivity on endpoint {container.name} ({endpoint.id})"


def _ids(targets: Targets) -> dict[int, str]:
    return {version: place.endpoint.id for version, place in targets.items()}
