"""Containers on their way into networks: what their records do not say yet, and what a removal has to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wherry.errors import NotFound
from wherry.model.networks import NetworkRecord


class Arrivals:
    """Who is being attached where. Short messages between actors, in memory: what a killed engine had begun is undone."""

    def __init__(self) -> None:
        self._entering: dict[str, set[str]] = {}  # ids of networks by container
        self._leaving: set[str] = set()

    def enter(self, network: NetworkRecord, container_id: str) -> None:
        """The container is about to be attached: the network stays until `entered`. Raises `NotFound` if it goes just now."""
        if network.id in self._leaving:
            raise NotFound(f"network {network.name} not found")
        self._entering.setdefault(container_id, set()).add(network.id)

    def entered(self, container_id: str) -> None:
        """The container's record says by now which networks it is in."""
        self._entering.pop(container_id, None)

    def of(self, network_id: str) -> Sequence[str]:
        """The containers that are on their way."""
        return [container for container, networks in self._entering.items() if network_id in networks]

    @contextmanager
    def ended(self, network_id: str) -> Iterator[None]:
        """Nobody may enter any more: the network is removed."""
        self._leaving.add(network_id)
        try:
            yield
        finally:
            self._leaving.discard(network_id)
