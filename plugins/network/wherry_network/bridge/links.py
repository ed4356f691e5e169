"""Bridges and veth pairs: how they are called, whose they are, and how they come and go.

An interface's alias carries its owner's full id, so that what the host shows can be told apart by engine.
"""

from __future__ import annotations

import errno
import hashlib
import socket
from pathlib import Path

from wherry.errors import Conflict
from wherry.linux import netlink
from wherry.linux.namespaces import in_netns, set_sysctl
from wherry.spec.network import Endpoint, Forbidden, Network
from wherry_network.bridge import ipv6
from wherry_network.bridge.options import BridgeOptions


class Links:
    """The host's links of one engine."""

    def __init__(self, instance: str, *, forward: bool) -> None:
        self._forward = forward
        self._mark = f"wherry:{instance}:"

    def ensure_bridge(self, network: Network, options: BridgeOptions) -> None:
        """Make the network's bridge, or bring the one that is there into shape. Raises Conflict if it is another's.

        A bridge that someone else made under the name asked for is used and never deleted.
        """
        name = bridge_name(network, options)
        if self.find_bridge(network, options) is None:
            netlink.execute(
                netlink.add_bridge(name, mac=_mac(network.id), mtu=options.mtu),
                netlink.set_link(name, alias=self._alias(network)),
            )
            if not ipv6.is_among(network.subnets):  # a host that does not speak it ignores forged advertisements
                set_sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")
        if ipv6.is_among(network.subnets):
            ipv6.let_speak(name)
        if self._forward:
            set_sysctl("net/ipv4/ip_forward", "1")
        if self._forward and ipv6.is_among(network.subnets):
            set_sysctl("net/ipv6/conf/all/forwarding", "1")
        set_sysctl(f"net/ipv4/conf/{name}/route_localnet", "1")  # published ports by 127.0.0.1
        index = socket.if_nametoindex(name)
        netlink.execute(
            netlink.set_link(index, up=True),
            *(netlink.add_address(index, cidr) for cidr in _gateways_with_prefix(network)),
        )

    def find_bridge(self, network: Network, options: BridgeOptions) -> netlink.Link | None:
        """The network's bridge, if there is one. Raises Conflict if the name belongs to something else."""
        name = bridge_name(network, options)
        link = netlink.find_link(name)
        if link is None:
            return None
        if link.kind != "bridge":
            raise Conflict(
                f"network {network.name} cannot have the bridge {name}: there is another interface of that name"
            )
        if link.alias.startswith("wherry:") and link.alias != self._alias(network):
            if not link.alias.startswith(self._mark):
                raise Conflict(f"network {network.name} cannot have the bridge {name}: it belongs to {link.alias}")
            other = link.alias.rpartition(":")[2]
            raise Forbidden(
                f"cannot create network {network.id} ({name}): conflicts with network {other} ({name}): networks have same "
                "bridge name"
            )
        return link

    def delete_bridge(self, network: Network, options: BridgeOptions) -> None:
        """Delete the bridge if it was made for this network."""
        name = bridge_name(network, options)
        link = netlink.find_link(name)
        if link is not None and link.alias == self._alias(network):
            netlink.remove_link(name)

    def join(self, network: Network, options: BridgeOptions, endpoint: Endpoint, netns: int) -> str:
        """Put the endpoint's interface into the sandbox, up and with its addresses, and return its MAC address."""
        mac = endpoint.mac or _mac(endpoint.id)
        try:
            bridge = socket.if_nametoindex(bridge_name(network, options))
        except OSError:  # someone deleted it
            self.ensure_bridge(network, options)
            bridge = socket.if_nametoindex(bridge_name(network, options))
        port = _port(network, options)
        try:
            self._make_pair(bridge, port, options.mtu, endpoint, netns, mac)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            self._settle_existing(bridge, port, options.mtu, endpoint, netns, mac)
        in_netns(netns, lambda: _address(endpoint))
        # The bridge's port forwards once it has a carrier, and the bridge itself once a port forwards: in this order.
        netlink.execute(netlink.settle(veth_name(endpoint.id)), netlink.settle(bridge))
        return mac

    def leave(self, endpoint: Endpoint) -> None:
        """Delete the endpoint's interface, both ends."""
        netlink.remove_link(veth_name(endpoint.id))

    def reconnect(self, network: Network, options: BridgeOptions, endpoint: Endpoint) -> None:
        """Make the endpoint's interface, if there is one, a proper port of the bridge again, whatever became of either."""
        bridge = socket.if_nametoindex(bridge_name(network, options))
        name = veth_name(endpoint.id)
        link = netlink.find_link(name)
        if link is not None:
            netlink.execute(
                netlink.set_link(name, master=bridge),
                netlink.set_link(name, up=True, port=_port(network, options)),
                netlink.settle(name),
                netlink.settle(bridge),
            )

    def owners(self, kind: str) -> list[str]:
        """The ids that this engine's links carry: of "net" or "ep"."""
        mark = f"{self._mark}{kind}:"
        return [link.alias.removeprefix(mark) for link in netlink.links() if link.alias.startswith(mark)]

    def _alias(self, network: Network) -> str:
        return f"{self._mark}net:{network.id}"

    def _make_pair(self, bridge: int, port: bytes, mtu: int, endpoint: Endpoint, netns: int, mac: str) -> None:
        name = veth_name(endpoint.id)
        alias = f"{self._mark}ep:{endpoint.network_id}:{endpoint.id}"
        netlink.execute(
            netlink.add_veth(name, master=bridge, peer=endpoint.interface, peer_netns=netns, peer_mac=mac, mtu=mtu),
            netlink.set_link(name, up=True, alias=alias, quiet=True, port=port),
        )

    def _settle_existing(self, bridge: int, port: bytes, mtu: int, endpoint: Endpoint, netns: int, mac: str) -> None:
        """The pair is there: of an earlier, equal call it stays; one that leads to another sandbox is made again."""
        if netlink.find_link(veth_name(endpoint.id)) is None:
            raise Conflict(
                f"the sandbox of container {endpoint.container_id} has an interface {endpoint.interface} already"
            )
        far = in_netns(netns, lambda: netlink.find_link(endpoint.interface))
        if far is None or far.mac != mac:
            netlink.remove_link(veth_name(endpoint.id))
            self._make_pair(bridge, port, mtu, endpoint, netns, mac)


def bridge_name(network: Network, options: BridgeOptions) -> str:
    """The bridge's name: the one asked for, or one from the network's id."""
    return options.bridge_name or f"wbr{network.id[:12]}"


def veth_name(endpoint_id: str) -> str:
    """The host's end of the endpoint's pair."""
    return f"wv{endpoint_id[:12]}"


def _port(network: Network, options: BridgeOptions) -> bytes:
    # Hairpin: under br_netfilter a container's packet to its own published port returns through the port it came from.
    return netlink.bridge_port(hairpin=True, isolated=not options.icc and not _bridged_is_filtered(network))


def _bridged_is_filtered(network: Network) -> bool:
    """Whether the firewall sees all that passes within the network's bridge (br_netfilter).

    If so its rules keep containers apart where icc is off, and still let published ports through, which then pass
    from port to port; if not, nothing but isolated ports can, and published ports take the way through the host.
    """
    settings = ["iptables", *(["ip6tables"] if ipv6.is_among(network.subnets) else [])]
    try:
        return all(Path(f"/proc/sys/net/bridge/bridge-nf-call-{each}").read_text().strip() != "0" for each in settings)
    except FileNotFoundError:
        return False


def _address(endpoint: Endpoint) -> None:
    index = socket.if_nametoindex(endpoint.interface)
    if ipv6.is_among(endpoint.addresses):
        ipv6.let_speak(endpoint.interface)
    # Up comes last: with arp_notify, neighbours then hear of the address and forget who had it before.
    addresses = [netlink.add_address(index, address) for address in endpoint.addresses]
    netlink.execute(*addresses, netlink.set_link(index, up=True), netlink.settle(index))


def _gateways_with_prefix(network: Network) -> list[str]:
    pairs = zip(network.gateways, network.subnets, strict=True)
    return [f"{gateway}/{subnet.partition('/')[2]}" for gateway, subnet in pairs if gateway]


def _mac(id: str) -> str:
    """A locally administered address that stays the same for the same id."""
    return "02:42:" + hashlib.sha256(id.encode()).digest()[:4].hex(":")
