"""Network drivers: networks and their endpoints. Everything such a driver needs can be imported from here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from wherry.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable, Unsupported, WherryError
from wherry.model.networks import Attachment, Endpoint, EndpointState, Network, PortMapping
from wherry.spec.base import Context, DriverSpec, hookimpl, spec
from wherry.toolkit.options import NoOptions, option

__all__ = [
    "Attachment", "Conflict", "Context", "Endpoint", "EndpointState", "Forbidden", "Invalid", "Network", "NetworkDriver",
    "NoOptions", "NotFound", "PortMapping", "Unavailable", "Unsupported", "WherryError", "hookimpl", "option",
]  # fmt: skip


class NetworkDriver(DriverSpec):
    """Networks and their endpoints. The engine owns the sandbox (network namespace), IPAM, names, routes and host ports.

    FEATURES: "ipv6". Without it the engine gives the driver IPv4 alone; with it a network may have both, or IPv6 alone.

    SANDBOX "own" gets a namespace for each container, "host" shares the host's. ADDRESSES False (host, none): the engine
    assigns none. Options that OPTIONS and ENDPOINT_OPTIONS do not know are kept, echoed and warned about, as Docker does.
    """

    FAMILY = "network"
    SANDBOX: ClassVar[Literal["own", "host"]] = "own"
    ADDRESSES: ClassVar[bool] = True
    ENDPOINT_OPTIONS: ClassVar[type] = NoOptions

    @spec
    @abstractmethod
    def create_network(self, network: Network) -> None:
        """Make what the whole network needs on this host (a bridge, rules)."""

    @spec
    @abstractmethod
    def delete_network(self, network: Network) -> None:
        """Remove it. No endpoint is left."""

    @spec
    @abstractmethod
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment | None:
        """Put the interface with the endpoint's addresses into the namespace behind descriptor `netns`.

        New interfaces there do not speak IPv6; the driver clears net.ipv6.conf.INTERFACE.disable_ipv6 of one that gets an
        IPv6 address, and of no other. The addresses can be used on return.

        None: nothing to see there.
        """

    @spec
    @abstractmethod
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        """Take it and its published ports away. `netns` is None when the namespace is gone already."""

    @spec
    @abstractmethod
    def list_networks(self) -> Sequence[str]:
        """Ids of what the host shows; () if it shows nothing."""

    @spec
    @abstractmethod
    def list_endpoints(self) -> Sequence[tuple[str, str]]:
        """(network id, endpoint id) of what the host shows; () if nothing."""

    @spec
    def publish(self, network: Network, endpoint: Endpoint, ports: Sequence[PortMapping]) -> None:
        """Optional, the driver can publish: make exactly these host ports lead to the endpoint. They are reserved.

        A host's address is of an IP that the endpoint has: 0.0.0.0 stands for all of IPv4, :: for all of IPv6.
        """
        raise NotImplementedError

    @spec
    def reconcile(self, networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> None:
        """Optional: bring rules and host links to exactly this state in one go (engine start, foreign flush).

        The engine then attaches again what is missing. Without this hook the engine repeats the calls.
        """
        raise NotImplementedError

    @spec
    def differences(self, networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> Sequence[str]:
        """Optional: which rules and links of networks on this host are not as this state says, each in words. Changes nothing.

        `reconcile` with the same arguments must leave none of them.
        """
        raise NotImplementedError

    @spec
    def watch(self) -> int:
        """For a driver that can `check`: a descriptor that is readable when the host may have changed; the driver keeps it."""
        raise NotImplementedError

    @spec
    def check(self) -> Sequence[str]:
        """Optional: bring back what others took from the host of all that was asked for, and say what keeps networks from
        working there: a sentence each, with what would mend it.

        The engine calls it after `reconcile`, when `watch`'s descriptor is readable, which this call changes, and from time
        to time; then it attaches again what `list_endpoints` misses.
        """
        raise NotImplementedError

    @spec
    def set_peers(self, network_id: str, peers: Sequence[tuple[str, str, str]]) -> None:
        """Optional, multi-host: make exactly these (address, mac, node address) reachable."""
        raise NotImplementedError
