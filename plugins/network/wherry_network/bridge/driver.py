"""The bridge driver: puts links and firewall together."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

import attrs

from wherry.errors import Failed
from wherry.spec.network import (
    Attachment,
    Context,
    Endpoint,
    EndpointState,
    Forbidden,
    Invalid,
    Network,
    NetworkDriver,
    PortMapping,
    Unsupported,
    hookimpl,
)
from wherry_network._netlink import Flows
from wherry_network._nft import Nft
from wherry_network.bridge import ipv6, rules
from wherry_network.bridge.firewall import Firewall
from wherry_network.bridge.foreign import Bridges, Foreign
from wherry_network.bridge.links import Links, bridge_name, veth_name
from wherry_network.bridge.options import BridgeConfig, BridgeOptions
from wherry_network.bridge.watch import Heard, Watch


class Driver(NetworkDriver):
    """Networks of one host, each a bridge; ports are published by one nftables table of this engine."""

    CONFIG = BridgeConfig
    FEATURES = frozenset({"ipv6"})
    OPTIONS = BridgeOptions

    def __init__(self, context: Context) -> None:
        nft = Nft()
        self._links = Links(context.instance, forward=context.config.forward)
        self._firewall = Firewall(nft, context.instance)
        self._foreign = Foreign(nft, context.instance, integrate=context.config.integrate)
        self._flows = Flows()
        self._watch: Watch | None = None
        self._lock = (
            Lock()
        )  # over what should be there, and over `check`, which must bring back nothing that is leaving
        self._networks: dict[str, Network] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._settled = False
        self._judged: Bridges = {}  # the bridges that `_findings` are about
        self._findings: Sequence[str] = ()

    @hookimpl
    def create_network(self, network: Network) -> None:
        options = _options(network)
        _check_ipv6(network)
        if len({":" in subnet for subnet in network.subnets}) < len(network.subnets):
            raise Forbidden("bridge driver doesn't support multiple subnets")
        with _explained(f"network {network.name} cannot be made"):
            self._links.find_bridge(network, options)
            # Rules first: no packet may pass a bridge that they do not know.
            self._firewall.put(network.id, _network_elements(network))
            self._links.ensure_bridge(network, options)
        with self._lock:
            self._networks[network.id] = network

    @hookimpl
    def delete_network(self, network: Network) -> None:
        with _explained(f"network {network.name} cannot be deleted"):
            with self._lock:
                self._networks.pop(network.id, None)
                self._foreign.leave(self._bridges())
            self._links.delete_bridge(network, _options(network))
            self._firewall.put(network.id, {})

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        _check_ipv6(network)
        with _explained(f"container {endpoint.container_id[:12]} cannot join network {network.name}"):
            mac = self._links.join(network, _options(network), endpoint, netns)
        with self._lock:
            self._endpoints[endpoint.id] = endpoint
        return Attachment(mac, () if network.internal else tuple(filter(None, network.gateways)))

    @hookimpl
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        with _explained(f"container {endpoint.container_id[:12]} cannot leave network {network.name}"):
            self._put_ports(endpoint, {})
            with self._lock:
                self._endpoints.pop(endpoint.id, None)
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
            for version in (4, 6):
                udp = [p.host_port for p in ports if p.protocol == "udp" and p.version == version]
                self._flows.forget_from(version, udp)

    @hookimpl
    def reconcile(self, networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> None:
        with _explained("the networks cannot be brought into their state"), self._lock:
            networks = [_as_can_be(network) for network in networks]
            self._networks = {network.id: network for network in networks}
            self._endpoints = {state.endpoint.id: state.endpoint for state in endpoints}
            self._firewall.replace(_wanted(networks, endpoints))
            self._mend_links()

    @hookimpl
    def watch(self) -> int:
        with self._lock:
            if self._watch is None:
                self._watch = Watch(self._firewall.table)
                weakref.finalize(self, self._watch.close)
                self._settled = False
            return self._watch.fileno()

    @hookimpl
    def check(self) -> Sequence[str]:
        with _explained("the networks cannot be mended"), self._lock:
            heard = self._heard()
            self._settled = False  # until all of this is done, the next call has to do it
            if heard.table:
                self._firewall.restore()
            if heard.links:
                self._mend_links()
            bridges = self._bridges()
            if heard.rules or bridges != self._judged:
                self._findings = self._foreign.check(bridges)
                self._judged = bridges
            self._settled = self._watch is not None
            return (*self._findings, *self._foreign.check_legacy(bridges))

    def _heard(self) -> Heard:
        links = {bridge_name(n, _options(n)) for n in self._networks.values()}
        heard = self._watch.heard(links | {veth_name(id) for id in self._endpoints}) if self._watch else None
        return heard if heard is not None and self._settled else Heard(rules=True, table=True, links=True)

    def _mend_links(self) -> None:
        for network in self._networks.values():
            self._links.ensure_bridge(network, _options(network))
        for endpoint in self._endpoints.values():
            network = self._networks[endpoint.network_id]
            self._links.reconnect(network, _options(network), endpoint)

    def _bridges(self) -> Bridges:
        """The bridges that packets are forwarded from and to."""
        names = {bridge_name(n, _options(n)): n.subnets for n in self._networks.values() if not n.internal}
        return {"ip": list(names), "ip6": [name for name, subnets in names.items() if ipv6.is_among(subnets)]}

    @hookimpl
    def differences(self, networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> Sequence[str]:
        with _explained("the networks cannot be compared with their state"):
            networks = [_as_can_be(network) for network in networks]
            missing = [
                f"the bridge {bridge_name(network, _options(network))} of network {network.name} is missing"
                for network in networks
                if self._links.find_bridge(network, _options(network)) is None
            ]
            return [*missing, *self._firewall.differences(_wanted(networks, endpoints))]

    def _put_ports(self, endpoint: Endpoint, elements: rules.Elements) -> None:
        old = self._firewall.put(endpoint.id, elements)
        if any("udp . " in place[-1] for place in old if place not in elements):
            for address in endpoint.addresses:
                self._flows.forget_to(address.partition("/")[0])


def _options(network: Network) -> BridgeOptions:
    if network.options is None:
        return BridgeOptions()
    assert isinstance(network.options, BridgeOptions)
    return network.options


def _check_ipv6(network: Network) -> None:
    """Raise Unsupported where this kernel has no IPv6, and Invalid where the network's links have not."""
    if not ipv6.is_among(network.subnets):
        return
    if not ipv6.is_there():
        raise Unsupported(
            f"network {network.name} needs IPv6, which this host's kernel has switched off (ipv6.disable=1)"
        )
    if 0 < _options(network).mtu < ipv6.LEAST_MTU:
        raise Invalid(f"network {network.name} needs an MTU of at least {ipv6.LEAST_MTU} for IPv6")


def _as_can_be(network: Network) -> Network:
    """The network without IPv6 where this kernel has none (any more)."""
    if ipv6.is_there() or not ipv6.is_among(network.subnets):
        return network
    pairs = [pair for pair in zip(network.subnets, network.gateways, strict=True) if ":" not in pair[0]]
    return attrs.evolve(network, subnets=tuple(s for s, _ in pairs), gateways=tuple(g for _, g in pairs))


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
    binding = _options(network).host_binding
    return {} if network.internal else rules.port_elements(network, endpoint, ports, binding)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Errors of the kernel become ones that say what they prevented."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{what}: {error.strerror or error}") from error
