"""What every network driver must do."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest

from wherry.linux import netlink
from wherry.linux.namespaces import CLONE_NEWNET, create_netns, in_netns, remove_netns
from wherry.linux.syscalls import call
from wherry.model.networks import Attachment, Endpoint, EndpointState, Network, PortMapping
from wherry.spec.network import NetworkDriver
from wherry.testing.conformance import Load, Subject, Suite

PATIENCE = 1.0  # seconds in which a packet arrives, or is lost
SANDBOX_SYSCTLS = {"ipv6/conf/default/disable_ipv6": "1"}  # as the engine makes sandboxes


class NetworkSubject(Subject[NetworkDriver]):
    """A network driver on a host of its own: a network namespace, in which the check runs."""

    def __init__(self, load: Load, folder: Path, stack: ExitStack, options: Mapping[str, Mapping[str, str]]) -> None:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, home)
        self._netns = folder / "netns"
        self._made = 0
        self._stack = stack
        host = self._namespace("host", {})
        call("setns", host, CLONE_NEWNET)
        stack.callback(call, "setns", home, CLONE_NEWNET)
        self.namespaces: dict[str, int] = {}
        super().__init__(load, folder, stack, options)

    def _namespace(self, name: str, sysctls: Mapping[str, str]) -> int:
        path = self._netns / name
        create_netns(path, sysctls=sysctls)
        self._stack.callback(remove_netns, path)
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._stack.callback(os.close, opened)
        return opened

    def network(self, *, ipv6: bool = False) -> Network:
        """A network with a subnet of its own, or one of each IP, made."""
        self._made += 1
        pairs = [(f"10.91.{self._made}.0/24", f"10.91.{self._made}.1")]
        if ipv6:
            pairs.append((f"fd00:91:{self._made}::/64", f"fd00:91:{self._made}::1"))
        id = secrets.token_hex(32)
        made = Network(
            id=id,
            name=f"net{self._made}",
            subnets=tuple(subnet for subnet, _ in pairs),
            gateways=tuple(gateway for _, gateway in pairs),
            options=self.options(),
        )
        self.hook.create_network(network=made)
        return made

    def endpoint(self, network: Network, host: int = 2) -> Endpoint:
        """A container's place in it, with a sandbox, not attached yet."""
        made = Endpoint(
            id=secrets.token_hex(32),
            network_id=network.id,
            container_id=secrets.token_hex(32),
            interface="eth0",
            addresses=tuple(
                subnet.replace("0/24", f"{host}/24").replace("::/64", f"::{host}/64") for subnet in network.subnets
            ),
            mac=f"02:42:0a:5b:{self._made:02x}:{host:02x}",
            options=self.options("ENDPOINT_OPTIONS"),
        )
        self.namespaces[made.id] = self._namespace(made.container_id, SANDBOX_SYSCTLS)
        return made

    def attach(self, network: Network, endpoint: Endpoint) -> Attachment | None:
        """Put it into its sandbox."""
        return self.hook.attach(network=network, endpoint=endpoint, netns=self.namespaces[endpoint.id])

    def joined(self, network: Network, host: int = 2) -> Endpoint:
        """An endpoint that is attached, with its routes."""
        made = self.endpoint(network, host)
        attachment = self.attach(network, made)
        if attachment is not None:
            for gateway in attachment.gateways:
                route = netlink.add_route("default", gateway=gateway)
                in_netns(self.namespaces[made.id], lambda route=route: netlink.execute(route))  # type: ignore[misc]
        return made

    def detach(self, network: Network, endpoint: Endpoint, *, gone: bool = False) -> None:
        """Take it away; `gone`: its sandbox does not exist any more."""
        netns = None if gone else self.namespaces[endpoint.id]
        self.hook.detach(network=network, endpoint=endpoint, netns=netns)

    def interfaces(self, endpoint: Endpoint) -> list[str]:
        """What the sandbox has besides its loopback."""
        found = in_netns(self.namespaces[endpoint.id], lambda: [name for _, name in socket.if_nameindex()])
        return [name for name in found if name != "lo"]

    def shown(self) -> tuple[set[str], set[tuple[str, str]]]:
        """The networks and endpoints that the driver says are there."""
        return set(self.hook.list_networks()), set(self.hook.list_endpoints())

    @property
    def sees(self) -> bool:
        """Whether the driver makes anything: host and none do not."""
        return self.driver.cls.ADDRESSES

    def need_interfaces(self) -> None:
        """Skip a check that is about interfaces."""
        if not self.sees:
            pytest.skip("the driver makes no interfaces")

    def need_ipv6(self) -> None:
        """Skip a check that is about IPv6."""
        if "ipv6" not in self.driver.cls.FEATURES:
            pytest.skip("the driver does not say ipv6 among its FEATURES")

    def reaches(self, source: int | None, address: str, target: Endpoint) -> bool:
        """Whether a TCP connection from a namespace (None: the host) to address:8080 comes to the target's port 80."""
        port = 8080 if source is not None else 80
        listener = in_netns(
            self.namespaces[target.id],
            lambda: socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True),
        )

        def connect() -> bool:
            try:
                socket.create_connection((address, 8080), PATIENCE).close()
            except OSError:
                return False
            return True

        with listener:
            return connect() if source is None else in_netns(source, connect)


def host_state() -> set[str]:
    """The links and the nft tables of this namespace."""
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for _, name in socket.if_nameindex()} | set(tables)


class NetworkConformance(Suite):
    """The checks. Subclass this and say DRIVERS, and OPTIONS if a network or an endpoint needs some."""

    FAMILY = "network"
    SPEC = NetworkDriver
    SUBJECT: ClassVar[type[NetworkSubject]] = NetworkSubject

    def test_a_network_may_be_created_twice(self, subject: NetworkSubject) -> None:
        network = subject.network()
        before = subject.shown()
        subject.hook.create_network(network=network)
        assert subject.shown() == before

    def test_a_network_may_be_deleted_twice(self, subject: NetworkSubject) -> None:
        network = subject.network()
        for _ in range(2):
            subject.hook.delete_network(network=network)
        assert subject.shown() == (set(), set())

    def test_networks_are_listed_as_long_as_they_are_there(self, subject: NetworkSubject) -> None:
        one, two = subject.network(), subject.network()
        assert subject.shown()[0] == ({one.id, two.id} if subject.sees else set())
        subject.hook.delete_network(network=one)
        assert subject.shown()[0] == ({two.id} if subject.sees else set())

    def test_endpoints_are_listed_as_long_as_they_are_there(self, subject: NetworkSubject) -> None:
        network = subject.network()
        one, two = subject.joined(network), subject.joined(network, 3)
        all_of_them = {(network.id, one.id), (network.id, two.id)}
        assert subject.shown()[1] == (all_of_them if subject.sees else set())
        subject.detach(network, one)
        assert subject.shown()[1] == ({(network.id, two.id)} if subject.sees else set())

    def test_attach_twice_gives_the_same_answer(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.endpoint(network)
        first = subject.attach(network, endpoint)
        assert subject.attach(network, endpoint) == first
        assert subject.interfaces(endpoint) == ([endpoint.interface] if subject.sees else [])

    def test_a_driver_without_addresses_has_nothing_to_show_in_a_sandbox(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.endpoint(network)
        assert (subject.attach(network, endpoint) is not None) == subject.sees

    def test_the_interface_has_the_name_address_and_mac_that_the_engine_chose(self, subject: NetworkSubject) -> None:
        subject.need_interfaces()
        network = subject.network()
        endpoint = subject.endpoint(network)
        attachment = subject.attach(network, endpoint)
        assert attachment is not None
        assert attachment.mac == endpoint.mac
        command = ["ip", "-o", "address", "show", "dev", endpoint.interface]
        shown = in_netns(
            subject.namespaces[endpoint.id], lambda: subprocess.run(command, capture_output=True, text=True).stdout
        )
        assert f"inet {endpoint.addresses[0]} " in shown

    def test_detach_takes_the_interface_and_may_be_repeated(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.joined(network)
        for _ in range(2):
            subject.detach(network, endpoint)
        assert subject.interfaces(endpoint) == []
        assert subject.shown()[1] == set()

    def test_detach_works_when_the_sandbox_is_gone(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.joined(network)
        for _ in range(2):
            subject.detach(network, endpoint, gone=True)
        assert subject.shown()[1] == set()

    def test_detach_of_what_was_never_attached_succeeds(self, subject: NetworkSubject) -> None:
        network = subject.network()
        other = subject.joined(network)
        subject.detach(network, subject.endpoint(network, 3))
        assert subject.interfaces(other) == ([other.interface] if subject.sees else [])

    def test_a_detached_endpoint_may_be_attached_again(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.joined(network)
        subject.detach(network, endpoint)
        subject.attach(network, endpoint)
        assert subject.interfaces(endpoint) == ([endpoint.interface] if subject.sees else [])

    def test_a_restart_of_the_engine_changes_nothing(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.endpoint(network)
        first, before = subject.attach(network, endpoint), subject.shown()
        subject.again()
        assert subject.shown() == before
        assert subject.attach(network, endpoint) == first
        subject.detach(network, endpoint)
        assert subject.interfaces(endpoint) == []

    def test_nothing_is_left_on_the_host(self, subject: NetworkSubject) -> None:
        before = host_state()
        network = subject.network()
        endpoint = subject.joined(network)
        subject.detach(network, endpoint)
        subject.hook.delete_network(network=network)
        left = host_state() - before
        assert not [name for name in left if not name.startswith("table ")], left  # a table of the driver's may stay

    def test_containers_of_one_network_reach_each_other(self, subject: NetworkSubject) -> None:
        subject.need_interfaces()
        network = subject.network()
        one, two = subject.joined(network), subject.joined(network, 3)
        assert subject.reaches(subject.namespaces[one.id], two.addresses[0].partition("/")[0], two)

    def test_containers_of_two_networks_do_not_reach_each_other(self, subject: NetworkSubject) -> None:
        subject.need_interfaces()
        one_network, two_network = subject.network(), subject.network()
        one, two = subject.joined(one_network), subject.joined(two_network)
        assert not subject.reaches(subject.namespaces[one.id], two.addresses[0].partition("/")[0], two)

    @pytest.mark.hook("publish")
    def test_a_published_port_leads_to_the_container_and_ends_with_its_endpoint(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.joined(network)
        for _ in range(2):
            subject.hook.publish(network=network, endpoint=endpoint, ports=[PortMapping("tcp", "0.0.0.0", 8080, 80)])
        gateway = network.gateways[0]
        assert subject.reaches(None, gateway, endpoint)
        subject.hook.publish(network=network, endpoint=endpoint, ports=[])
        assert not subject.reaches(None, gateway, endpoint)

    @pytest.mark.hook("reconcile")
    def test_reconcile_brings_back_what_somebody_flushed(self, subject: NetworkSubject) -> None:
        network = subject.network()
        endpoint = subject.joined(network)
        ports = (PortMapping("tcp", "0.0.0.0", 8080, 80),)
        subject.hook.publish(network=network, endpoint=endpoint, ports=ports)
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        subject.hook.reconcile(networks=[network], endpoints=[EndpointState(endpoint, ports)])
        assert subject.reaches(None, network.gateways[0], endpoint)

    def test_an_ipv6_address_is_there_at_once(self, subject: NetworkSubject) -> None:
        subject.need_ipv6()
        network = subject.network(ipv6=True)
        endpoint = subject.endpoint(network)
        attachment = subject.attach(network, endpoint)
        assert attachment is not None
        assert attachment.gateways == network.gateways
        command = ["ip", "-6", "-o", "address", "show", "dev", endpoint.interface]
        shown = in_netns(
            subject.namespaces[endpoint.id], lambda: subprocess.run(command, capture_output=True, text=True).stdout
        )
        assert f"inet6 {endpoint.addresses[1]} " in shown
        assert "tentative" not in shown

    def test_an_interface_without_an_ipv6_address_speaks_no_ipv6(self, subject: NetworkSubject) -> None:
        subject.need_ipv6()
        endpoint = subject.joined(subject.network())
        command = ["ip", "-6", "-o", "address", "show", "dev", endpoint.interface]
        shown = in_netns(
            subject.namespaces[endpoint.id], lambda: subprocess.run(command, capture_output=True, text=True).stdout
        )
        assert shown == ""

    def test_containers_of_one_network_reach_each_other_by_ipv6(self, subject: NetworkSubject) -> None:
        subject.need_ipv6()
        network = subject.network(ipv6=True)
        one, two = subject.joined(network), subject.joined(network, 3)
        assert subject.reaches(subject.namespaces[one.id], two.addresses[1].partition("/")[0], two)

    def test_containers_of_two_networks_do_not_reach_each_other_by_ipv6(self, subject: NetworkSubject) -> None:
        subject.need_ipv6()
        one_network, two_network = subject.network(ipv6=True), subject.network(ipv6=True)
        one, two = subject.joined(one_network), subject.joined(two_network)
        assert not subject.reaches(subject.namespaces[one.id], two.addresses[1].partition("/")[0], two)

    @pytest.mark.hook("publish")
    def test_a_port_published_on_ipv6_leads_to_the_container(self, subject: NetworkSubject) -> None:
        subject.need_ipv6()
        network = subject.network(ipv6=True)
        endpoint = subject.joined(network)
        subject.hook.publish(network=network, endpoint=endpoint, ports=[PortMapping("tcp", "::", 8080, 80)])
        for address in (network.gateways[1], "::1"):
            assert subject.reaches(None, address, endpoint)


class TestNetwork(NetworkConformance):
    """The drivers of the command line."""
