"""Networks and endpoints: what drivers see, and what the engine records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

Protocol = Literal["tcp", "udp", "sctp"]


@attrs.frozen(kw_only=True)
class Network:
    """A network as its driver sees it. Subnets are CIDR texts, assigned by the engine's IPAM, with a gateway each.

    IPv4 comes first; IPv6 is for drivers whose FEATURES have "ipv6".
    """

    id: str
    name: str
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    internal: bool = False
    options: Any = None  # the driver's OPTIONS, parsed


@attrs.frozen(kw_only=True)
class Endpoint:
    """A container's place in a network, as the driver sees it.

    Addresses are CIDR texts, assigned by the engine's IPAM: of IPv4, then of IPv6, as the network has them.
    """

    id: str
    network_id: str
    container_id: str
    interface: str  # its name in the sandbox, chosen by the engine (eth0, eth1, ...)
    addresses: tuple[str, ...] = ()
    mac: str | None = None
    options: Any = None  # the driver's ENDPOINT_OPTIONS, parsed


@attrs.frozen
class Attachment:
    """What `attach` made in the sandbox. The engine installs the routes, and for the whole sandbox one default gateway of
    IPv4 and one of IPv6.
    """

    mac: str
    gateways: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()  # (destination CIDR, gateway address; "" is on-link)


@attrs.frozen
class PortMapping:
    """One published port: what arrives at host address and port leads to the container's port."""

    protocol: Protocol
    host_address: str
    host_port: int
    container_port: int

    @property
    def version(self) -> int:
        """Of IP: 4 or 6."""
        return 6 if ":" in self.host_address else 4


@attrs.frozen
class EndpointState:
    """An endpoint with the ports published to it: the state that `reconcile` must bring about."""

    endpoint: Endpoint
    ports: tuple[PortMapping, ...] = ()


@attrs.frozen(kw_only=True)
class IpamPool:
    """One entry of a network's IPAM configuration. `ip_range` narrows what is handed out; `auxiliary` are reserved names."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    auxiliary: Mapping[str, str] = attrs.field(factory=dict)
    chosen: bool = False  # by the engine, as the caller named no subnet

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


@attrs.frozen(kw_only=True)
class NetworkSpec:
    """What a caller asks for when creating a network. The engine chooses a subnet for an IP that is on and has no pool."""

    name: str
    driver: str = "bridge"
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    pools: tuple[IpamPool, ...] = ()
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    options: Mapping[str, str] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def used_pools(self) -> tuple[IpamPool, ...]:
        """Those that containers get addresses from, IPv4 first; a pool of an IP that is off is only shown, as Docker does."""
        return tuple(pool for pool in self.pools if (self.enable_ipv6 if pool.version == 6 else self.enable_ipv4))


@attrs.frozen(kw_only=True)
class NetworkRecord:
    """A network as the engine records it. `spec.used_pools` are complete: each has its subnet and gateway."""

    id: str
    created_ns: int
    spec: NetworkSpec
    predefined: bool = False

    @property
    def name(self) -> str:
        """The network's name."""
        return self.spec.name

    @property
    def kind(self) -> str:
        """Its driver's name as clients know it."""
        return client_name(self.spec.driver)


def client_name(driver: str) -> str:
    """A network driver's name as clients know it: what is none here has always been `null` to them."""
    return "null" if driver == "none" else driver


@attrs.frozen(kw_only=True)
class EndpointSpec:
    """What a caller asks for when putting a container into a network."""

    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    links: tuple[str, ...] | None = None
    aliases: tuple[str, ...] | None = None
    mac_address: str = ""
    driver_opts: Mapping[str, str] | None = None
    gw_priority: int = 0


@attrs.frozen(kw_only=True)
class EndpointRecord:
    """A container's endpoint as the engine records it, in the container. Empty texts mean: not attached now."""

    network_id: str
    spec: EndpointSpec
    endpoint_id: str = ""
    interface: str = ""
    address: str = ""  # CIDR, of IPv4
    gateway: str = ""
    address6: str = ""  # CIDR, of IPv6
    gateway6: str = ""
    mac: str = ""
    dns_names: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those it has, IPv4 first."""
        return tuple(filter(None, (self.address, self.address6)))

    @property
    def gateways(self) -> tuple[str, ...]:
        """Those it has, IPv4 first."""
        return tuple(filter(None, (self.gateway, self.gateway6)))
