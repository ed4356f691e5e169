"""The network of containers that name none: what the configuration says of it, and the record that comes of that."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import attrs

from wherry.model.networks import IpamPool, NetworkSpec

NAME = "bridge"
DEFAULT_GATEWAY = "DefaultGatewayIPv4"  # the reserved address that containers have for a gateway, in Docker's words
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


@attrs.frozen(kw_only=True)
class DefaultBridge:
    """How the predefined bridge is to be. `bip` is its gateway with the subnet's length, as 172.17.0.1/16; "" chooses."""

    enabled: bool = True
    bip: str = ""
    fixed_cidr: str = ""  # the part of the subnet that containers get addresses from; without `bip` the subnet itself
    default_gateway: str = ""  # of the containers, where it is not the bridge
    mtu: int = 1500
    icc: bool = True  # containers may talk to each other
    masquerade: bool = True
    host_address: str = "0.0.0.0"  # of ports that are published without one

    @property
    def name(self) -> str:
        """What it is called."""
        return NAME

    def spec(self) -> NetworkSpec:
        """The network as a caller would ask for it. Without a pool the engine chooses one."""
        options = {
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": _word(self.icc),
            "com.docker.network.bridge.enable_ip_masquerade": _word(self.masquerade),
            HOST_BINDING: self.host_address,
            "com.docker.network.driver.mtu": str(self.mtu),
        }
        return NetworkSpec(name=NAME, driver=NAME, options=options, pools=self._pools())

    def _pools(self) -> tuple[IpamPool, ...]:
        subnet = self._subnet()
        if subnet is None:
            return ()
        narrow = self.fixed_cidr if self.fixed_cidr != str(subnet) else ""
        gateway = str(IPv4Interface(self.bip).ip) if self.bip else ""
        auxiliary = {DEFAULT_GATEWAY: self.default_gateway} if self.default_gateway else {}
        return (IpamPool(subnet=str(subnet), gateway=gateway, ip_range=narrow, auxiliary=auxiliary),)

    def _subnet(self) -> IPv4Network | None:
        if self.bip:
            return IPv4Interface(self.bip).network
        return IPv4Network(self.fixed_cidr) if self.fixed_cidr else None

    def faults(self) -> Sequence[str]:
        """What does not fit together."""
        subnet, found = self._subnet(), []
        if not self.enabled and self.bip:
            found.append("bridge none and bip exclude each other: without the network there is no address to set")
        if subnet and self.fixed_cidr and not IPv4Network(self.fixed_cidr).subnet_of(subnet):
            found.append(f"fixed-cidr {self.fixed_cidr} is not in the subnet {subnet} of bip")
        if self.default_gateway and subnet is None:
            found.append("default-gateway needs bip as well, whose subnet it must be in")
        elif self.default_gateway and subnet and IPv4Address(self.default_gateway) not in subnet:
            found.append(f"default-gateway {self.default_gateway} is not in the subnet {subnet}")
        return found


def pools_from(spec: NetworkSpec) -> tuple[IpamPool, ...]:
    """The subnet that it has, whoever chose it, and nothing of how it was divided."""
    return tuple(IpamPool(subnet=pool.subnet, gateway=pool.gateway, chosen=pool.chosen) for pool in spec.pools)


def gateway_of(pool: IpamPool) -> str:
    """The gateway of the containers in it."""
    return pool.auxiliary.get(DEFAULT_GATEWAY, pool.gateway)


def _word(value: bool) -> str:
    return str(value).lower()
