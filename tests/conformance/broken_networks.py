"""Network drivers that do one thing wrong each: the bridge driver, but for that."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from typing import Any

import attrs

from wherry.errors import Conflict, NotFound, Unavailable
from wherry.linux.namespaces import in_netns
from wherry.spec.network import Attachment, Context, Endpoint, EndpointState, Network, PortMapping, hookimpl
from wherry_network.bridge import Driver


class CreatingOnce(Driver):
    @hookimpl
    def create_network(self, network: Network) -> None:
        if network.id in self.list_networks():
            raise Conflict("it is there already")
        super().create_network(network)


class DeletingOnce(Driver):
    @hookimpl
    def delete_network(self, network: Network) -> None:
        if network.id not in self.list_networks():
            raise NotFound("it is gone")
        super().delete_network(network)


class Silent(Driver):
    @hookimpl
    def list_networks(self) -> Sequence[str]:
        return ()

    @hookimpl
    def list_endpoints(self) -> Sequence[tuple[str, str]]:
        return ()


class Fickle(Driver):
    calls = 0

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        found = super().attach(network, endpoint, netns)
        self.calls += 1
        return attrs.evolve(found, routes=(("10.0.0.0/8", ""),) * self.calls)


class Secretive(Driver):
    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        super().attach(network, endpoint, netns)
        return None  # type: ignore[return-value]


class Renaming(Driver):
    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        return super().attach(network, attrs.evolve(endpoint, interface="eth9"), netns)


class Sticky(Driver):
    @hookimpl
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        return None


class Needy(Driver):
    """Wants the sandbox that is gone."""

    @hookimpl
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        if netns is None:
            raise Unavailable("there is no sandbox")
        super().detach(network, endpoint, netns)


class Sweeping(Driver):
    """Detaches all of a network."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.attached: list[tuple[Network, Endpoint]] = []

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        self.attached.append((network, endpoint))
        return super().attach(network, endpoint, netns)

    @hookimpl
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        for each, other in self.attached:
            super().detach(each, other, None)


class Final(Driver):
    """Lets nobody come back."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.gone: set[str] = set()

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        if endpoint.id in self.gone:
            raise Conflict("it was detached")
        return super().attach(network, endpoint, netns)

    @hookimpl
    def detach(self, network: Network, endpoint: Endpoint, netns: int | None) -> None:
        self.gone.add(endpoint.id)
        super().detach(network, endpoint, netns)


class Remembering(Driver):
    """Lists what it remembers."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.known: list[str] = []

    @hookimpl
    def create_network(self, network: Network) -> None:
        self.known.append(network.id)
        super().create_network(network)

    @hookimpl
    def list_networks(self) -> Sequence[str]:
        return self.known


class Leaving(Driver):
    @hookimpl
    def delete_network(self, network: Network) -> None:
        return None


class Isolating(Driver):
    """Lets no frame pass from one container to another."""

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        before = {name for _, name in socket.if_nameindex()}
        found = super().attach(network, endpoint, netns)
        for name in {name for _, name in socket.if_nameindex()} - before:
            subprocess.run(["bridge", "link", "set", "dev", name, "isolated", "on"], check=True)
        return found


class Open(Driver):
    """Has no rules between networks."""

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        found = super().attach(network, endpoint, netns)
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        return found


class Unpublishing(Driver):
    @hookimpl
    def publish(self, network: Network, endpoint: Endpoint, ports: Sequence[PortMapping]) -> None:
        return None


class Careless(Driver):
    @hookimpl
    def reconcile(self, networks: Sequence[Network], endpoints: Sequence[EndpointState]) -> None:
        return None


class Waiting(Driver):
    """Lets the kernel look for a second whether somebody else has the address."""

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        found = super().attach(network, attrs.evolve(endpoint, addresses=endpoint.addresses[:1]), netns)

        def again() -> None:
            for setting in ("disable_ipv6=0", "accept_dad=1"):
                subprocess.run(["sysctl", "-qw", f"net.ipv6.conf.{endpoint.interface}.{setting}"], check=True)
            command = ["ip", "address", "add", endpoint.addresses[1], "dev", endpoint.interface]
            subprocess.run(command, check=True)

        in_netns(netns, again)
        return found


class Talkative(Driver):
    """Speaks IPv6 unasked."""

    @hookimpl
    def attach(self, network: Network, endpoint: Endpoint, netns: int) -> Attachment:
        found = super().attach(network, endpoint, netns)
        setting = f"net.ipv6.conf.{endpoint.interface}.disable_ipv6=0"
        in_netns(netns, lambda: subprocess.run(["sysctl", "-qw", setting], check=True))
        return found


class OldFashioned(Driver):
    """Publishes on IPv4."""

    @hookimpl
    def publish(self, network: Network, endpoint: Endpoint, ports: Sequence[PortMapping]) -> None:
        super().publish(network, endpoint, [port for port in ports if port.version == 4])


BROKEN: dict[str, type[Any]] = {
    "test_a_network_may_be_created_twice": CreatingOnce,
    "test_a_network_may_be_deleted_twice": DeletingOnce,
    "test_networks_are_listed_as_long_as_they_are_there": Silent,
    "test_endpoints_are_listed_as_long_as_they_are_there": Silent,
    "test_attach_twice_gives_the_same_answer": Fickle,
    "test_a_driver_without_addresses_has_nothing_to_show_in_a_sandbox": Secretive,
    "test_the_interface_has_the_name_address_and_mac_that_the_engine_chose": Renaming,
    "test_detach_takes_the_interface_and_may_be_repeated": Sticky,
    "test_detach_works_when_the_sandbox_is_gone": Needy,
    "test_detach_of_what_was_never_attached_succeeds": Sweeping,
    "test_a_detached_endpoint_may_be_attached_again": Final,
    "test_a_restart_of_the_engine_changes_nothing": Remembering,
    "test_nothing_is_left_on_the_host": Leaving,
    "test_containers_of_one_network_reach_each_other": Isolating,
    "test_containers_of_two_networks_do_not_reach_each_other": Open,
    "test_a_published_port_leads_to_the_container_and_ends_with_its_endpoint": Unpublishing,
    "test_reconcile_brings_back_what_somebody_flushed": Careless,
    "test_an_ipv6_address_is_there_at_once": Waiting,
    "test_an_interface_without_an_ipv6_address_speaks_no_ipv6": Talkative,
    "test_containers_of_one_network_reach_each_other_by_ipv6": Isolating,
    "test_containers_of_two_networks_do_not_reach_each_other_by_ipv6": Open,
    "test_a_port_published_on_ipv6_leads_to_the_container": OldFashioned,
}
