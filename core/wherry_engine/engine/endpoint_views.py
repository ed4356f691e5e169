"""Endpoints as their drivers see them, and in which order a container's stand."""

from __future__ import annotations

import attrs

from wherry.errors import NotFound
from wherry.model.containers import Container
from wherry.model.networks import Endpoint, EndpointRecord, Network, NetworkRecord
from wherry.spec.network import NetworkDriver
from wherry.toolkit.options import unknown_options
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.sandbox_views import Records
from wherry_engine.loader.load import Driver


@attrs.frozen
class Located:
    """An endpoint with its network and the driver that makes both."""

    record: NetworkRecord
    driver: Driver[NetworkDriver]
    endpoint: Endpoint

    @property
    def network(self) -> Network:
        """As the driver sees it."""
        return Networks.view(self.record, self.driver)


async def locate(networks: Networks, container: Container, record: EndpointRecord) -> Located:
    """Where an endpoint of the container is. Raises `NotFound` if its network is gone."""
    network = networks.table.get(record.network_id)
    if network is None:
        raise NotFound(f"network {record.network_id} of container {container.name} is gone")
    driver = await networks.driver(network)
    return Located(network, driver, _endpoint(container, record, driver))


def _endpoint(container: Container, record: EndpointRecord, driver: Driver[NetworkDriver]) -> Endpoint:
    given = record.spec.driver_opts or {}
    ignored = unknown_options(driver.cls.ENDPOINT_OPTIONS, given)
    return Endpoint(
        id=record.endpoint_id,
        network_id=record.network_id,
        container_id=container.id,
        interface=record.interface,
        addresses=record.addresses,
        mac=record.mac or None,
        options=driver.parse("ENDPOINT_OPTIONS", {k: v for k, v in given.items() if k not in ignored}),
    )


def ordered(container: Container) -> list[tuple[str, EndpointRecord]]:
    """Networks in the order of their interfaces: that of --network first, then by name."""
    mode = container.host.network_mode
    return sorted(container.networks.items(), key=lambda item: (item[0] != mode, item[0]))


def by_gateway(records: Records) -> list[EndpointRecord]:
    """Endpoints in the order in which they lead out: by gateway priority, then by their networks' names."""
    return [record for _, record in sorted(records.items(), key=lambda item: (-item[1].spec.gw_priority, item[0]))]
