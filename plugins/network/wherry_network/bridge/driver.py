"""The bridge driver: puts links and firewall together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wherry.errors import Failed
from wherry.spec.network import (
    Attachment,
    Context,
    Endpoint,
    EndpointState,
    Network,
    NetworkDriver,
    PortMapping,
    Unsupported,
    hookimpl,
)
from wherry_network._netlink import Flows
from wherry_network.bridge import rules
from wherry_network.bridge.firewall import Firewall
from wherry_network.bridge.links import Links, bridge_name
from wherry_network.bridge.options import BridgeOptions


class Driver(NetworkDriver):
    """Networks of one host, each a bridge; ports are published by one nftables table of this engine."""

    OPTIONS = BridgeOptions

    def __init__(self, context: Context) -> None:
        self._links = Links(context.instance)
        self._firewall = Firewall(context.instance)
        self._flows = Flows()

    @hookimpl
    def create_network(self, network: Network) -> None:
        options = _options(network)
        if any(":" in subnet for subnet in network.subnets):
            raise Unsupported(f"network {network.name}: bridge networks have no IPv6 subnets yet")
        with _explained(f"network {network.name} cannot be made"):
            self._links.find_bridge(network, options)
            # Rules first: no packet may pass a bridge that they do not know.
            self._firewall.put(network.id, _network_elements(network))
            self._links.ensure_bridge(network, options)

    @hookimpl
    def delete_network(self, network: Network) -> None:
        with _explained(f"network {network.name} cannot be deleted"):
            self._links.delete_bridge(network, _options(network))
            self._firewall.put(network.id, {})

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        with _explained(f"container {endpoint.container_id[:12]} cannot join network {network.name}"):
            mac = self._links.join(network, _options(network), endpoint, netns)
        return Attachment(mac, () if network.internal else tuple(filter(None, network.gateways)))

    @hookimpl
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        with _explained(f"container {endpoint.container_id[:12]} cannot leave network {network.name}"):
            self._put_ports(endpoint, {})
            self._links.leave(endpoint)

    @hookimpl
    def list_networks(self) -> Sequence[str]:
        return self._links.owners("net")

    @hookimpl
    def list_endpoints(self) -> Sequence[tuple[str, str]]:
        pairs = (owner.partition(":") for owner in self._links.owners("ep"))
        return [(network, endpoint) for network, _, endpoint in pairs]

    @hookimpl
    def publish(self, network: Network, endpoint: Endpoint, ports: Sequence[PortMapping]) -> None:
        """Ports of an internal network lead nowhere, as with Docker."""
        with _explained(f"ports of container {endpoint.container_id[:12]} cannot be published"):
            self._put_ports(endpoint, _port_elements(network, endpoint, ports))
            self._flows.forget_from([port.host_port for port in ports if port.protocol == "udp"])

    @hookimpl
    def reconcile(self, networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> None:
        by_id = {network.id: network for network in networks}
        with _explained("the networks cannot be brought into their state"):
            self._firewall.replace(_wanted(networks, endpoints))
            for network in networks:
                self._links.ensure_bridge(network, _options(network))
            for state in endpoints:
                network = by_id[state.endpoint.network_id]
                self._links.reconnect(network, _options(network), state.endpoint)

    @hookimpl
    def differences(self, networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> Sequence[str]:
        with _explained("the networks cannot be compared with their state"):
            missing = [
                f"the bridge {bridge_name(network, _options(network))} of network {network.name} is missing"
                for network in networks
                if self._links.find_bridge(network, _options(network)) is None
            ]
            return [*missing, *self._firewall.differences(_wanted(networks, endpoints))]

    def _put_ports(self, endpoint: Endpoint, elements: rules.Elements) -> None:
        old = self._firewall.put(endpoint.id, elements)
        if any("udp . " in key for name, key in old if (name, key) not in elements):
            self._flows.forget_to(endpoint.addresses[0].partition("/")[0])


def _options(network: Network) -> BridgeOptions:
    if network.options is None:
        return BridgeOptions()
    assert isinstance(network.options, BridgeOptions)
    return network.options


def _wanted(networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> dict[str, rules.Elements]:
    """What the table should hold, by owner."""
    by_id = {network.id: network for network in networks}
    wanted = {network.id: _network_elements(network) for network in networks}
    for state in endpoints:
        network = by_id[state.endpoint.network_id]
        wanted[state.endpoint.id] = _port_elements(network, state.endpoint, state.ports)
    return wanted


def _network_elements(network: Network) -> rules.Elements:
    options = _options(network)
    return rules.network_elements(network, options, bridge_name(network, options))


def _port_elements(network: Network, endpoint: Endpoint, ports: Sequence[PortMapping]) -> rules.Elements:
    return {} if network.internal else rules.port_elements(endpoint, ports, _options(network).host_binding)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Errors of the kernel become ones that say what they prevented."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{what}: {error.strerror or error}") from error
