"""The none driver: containers with a network namespace of their own and nothing but loopback in it."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.spec.network import Endpoint, Network, NetworkDriver, hookimpl


class Driver(NetworkDriver):
    """There is nothing to make: the engine has made the namespace, and its loopback is up."""

    ADDRESSES = False

    @hookimpl
    def create_network(self, network: Network) -> None:
        return None

    @hookimpl
    def delete_network(self, network: Network) -> None:
        return None

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        return None

    @hookimpl
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        return None

    @hookimpl
    def list_networks(self) -> Sequence[str]:
        return ()

    @hookimpl
    def list_endpoints(self) -> Sequence[tuple[str, str]]:
        return ()
