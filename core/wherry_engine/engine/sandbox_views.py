"""Sandboxes as services see them: who a container is in its networks, and which servers are asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from wherry.model.containers import Container
from wherry.model.networks import EndpointRecord, NetworkRecord
from wherry.model.sandboxes import Place, Sandbox
from wherry_engine.engine import resolv_conf

Records = Mapping[str, EndpointRecord]
"""A container's endpoints, by network name."""


def view(
    container: Container, records: Records, netns: Path, network: Callable[[str], NetworkRecord | None]
) -> Sandbox:
    """The sandbox of a container; `network` finds a record by id. Nothing is asked where no network leads out."""
    places = []
    for name, record in records.items():
        found = network(record.network_id)
        if found is not None and not found.predefined:
            links = _links(container, name, record)
            places += [
                Place(
                    network_id=found.id,
                    network=name,
                    address=address.partition("/")[0],
                    names=record.dns_names,
                    links=links,
                )
                for address in record.addresses
            ]
    return Sandbox(
        container_id=container.id,
        netns=netns,
        places=tuple(places),
        servers=resolv_conf.upstream(container.host) if any(record.gateways for record in records.values()) else (),
        keeps_short_names=resolv_conf.keeps_short_names(container.host),
    )


def _links(container: Container, network: str, record: EndpointRecord) -> Mapping[str, str]:
    """--link in a network with names: one more name for somebody, known to this container alone."""
    given = record.spec.links or (container.host.links if network == container.host.network_mode else None) or ()
    return {alias: name for name, alias in map(link, given)}


def link(text: str) -> tuple[str, str]:
    """NAME or NAME:ALIAS as (name, alias)."""
    name, _, alias = text.partition(":")
    name = name.removeprefix("/")
    return name, alias.rpartition("/")[2] or name


def is_named(records: Records, network: Callable[[str], NetworkRecord | None]) -> bool:
    """Whether one with these endpoints is in a network with names, so that our resolver answers it."""
    found = (network(record.network_id) for record in records.values() if record.addresses)
    return any(each is not None and not each.predefined for each in found)
