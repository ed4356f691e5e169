"""A small world for network tests: a host with an uplink, a far machine, and sandboxes on the host's networks."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from wherry.linux import netlink
from wherry.linux.namespaces import in_netns, set_sysctl
from wherry.spec.network import Attachment, Context, Endpoint, Network
from wherry.toolkit.options import parse_options
from wherry_engine.engine.sandboxes import Sandboxes
from wherry_network.bridge import Driver
from wherry_network.bridge.options import BridgeConfig

PATIENCE = 0.4  # seconds after which a packet that has not arrived counts as dropped


@attrs.frozen
class Place:
    """A network namespace from which sockets are opened: a socket stays where it was made."""

    netns: int
    address: str = ""
    address6: str = ""

    def run(self, command: str) -> str:
        """What a command prints there."""

        def start() -> str:
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        return in_netns(self.netns, start)

    def listen(self, port: int) -> socket.socket:
        """A TCP listener on all addresses."""
        listener = in_netns(
            self.netns, lambda: socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        )
        listener.settimeout(PATIENCE)
        return listener

    def udp(self, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        """A UDP socket on all addresses."""

        def make() -> socket.socket:
            made = socket.socket(family, socket.SOCK_DGRAM)
            made.bind(("", port))
            return made

        made = in_netns(self.netns, make)
        made.settimeout(PATIENCE)
        return made

    def sees_tcp(self, source: Place, address: str, port: int, at: int = 80) -> str | None:
        """The source's address as seen here, at port `at`, when it connects to address:port; None if it cannot."""
        with self.listen(at) as listener:
            try:
                client = in_netns(source.netns, lambda: socket.create_connection((address, port), PATIENCE))
            except OSError:
                return None
            with client:
                try:
                    served, peer = listener.accept()
                except TimeoutError:  # someone else answered
                    return None
                with served:
                    served.sendall(b"x")
                    assert client.recv(1) == b"x"
                    return str(peer[0]).removeprefix("::ffff:")

    def sees_udp(self, source: Place, address: str, port: int, at: int = 80) -> str | None:
        """The same for a datagram and its answer."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.udp(at, family) as server, source.udp(family=family) as client:
            try:
                client.sendto(b"?", (address, port))
                _, peer = server.recvfrom(10)
                server.sendto(b"!", peer)
                assert client.recvfrom(10)[0] == b"!"
            except OSError:
                return None
            return str(peer[0])


class World:
    """The host, a far machine at 192.0.2.2 behind its uplink 192.0.2.1 (and 192.0.2.11), and containers on networks.

    With IPv6 the same are fd00:2::2, fd00:2::1 and fd00:2::11.
    """

    def __init__(self, folder: Path, host: int, far: int, stack: ExitStack) -> None:
        self.host, self.far = Place(host, "192.0.2.1", "fd00:2::1"), Place(far, "192.0.2.2", "fd00:2::2")
        self.folder, self._stack = folder, stack
        self.sandboxes = Sandboxes(folder / "run")
        self._hosts = 1

    def driver(self, instance: str = "one", *, integrate: bool = False) -> Driver:
        """A driver as the engine makes it."""
        made = Driver(Context(self.folder, self.folder, instance, BridgeConfig(integrate=integrate)))
        self._stack.callback(made._firewall._nft.close)
        return made

    def network(self, *subnets: str, internal: bool = False, **options: str) -> Network:
        """A network whose gateways are its first addresses; options by the last part of their key."""
        subnets = subnets or ("10.91.1.0/24",)
        keys = {
            field.metadata["key"].rpartition(".")[2]: field.metadata["key"] for field in attrs.fields(Driver.OPTIONS)
        }
        id = secrets.token_hex(32)
        return Network(
            id=id,
            name=f"net-{id[:6]}",
            subnets=subnets,
            gateways=tuple(_numbered(subnet, 1).partition("/")[0] for subnet in subnets),
            internal=internal,
            options=parse_options(Driver.OPTIONS, {keys[key]: value for key, value in options.items()}),
        )

    def endpoint(self, network: Network, interface: str = "eth0", **changes: Any) -> Endpoint:
        """The next container's endpoint, with its sandbox."""
        self._hosts += 1
        given = Endpoint(
            id=secrets.token_hex(32),
            network_id=network.id,
            container_id=secrets.token_hex(32),
            interface=interface,
            addresses=tuple(_numbered(subnet, self._hosts) for subnet in network.subnets),
            mac=f"02:42:0a:5b:01:{self._hosts:02x}",
        )
        self.sandboxes.create(given.container_id)
        self._stack.callback(self.sandboxes.remove, given.container_id)
        return attrs.evolve(given, **changes)

    def place(self, endpoint: Endpoint) -> Place:
        """The endpoint's sandbox."""
        netns = self.sandboxes.open(endpoint.container_id)
        self._stack.callback(os.close, netns)
        return Place(netns, *(address.partition("/")[0] for address in endpoint.addresses))

    def join(self, driver: Driver, network: Network, **changes: Any) -> tuple[Endpoint, Place]:
        """A container on the network, with its routes."""
        endpoint = self.endpoint(network, **changes)
        place = self.place(endpoint)
        attachment = driver.attach(network, endpoint, place.netns)
        assert isinstance(attachment, Attachment)
        self.sandboxes.configure(endpoint.container_id, [(endpoint.interface, attachment)], [endpoint.interface])
        return endpoint, place


def _numbered(subnet: str, number: int) -> str:
    prefix = ipaddress.ip_network(subnet)
    return f"{prefix[number]}/{prefix.prefixlen}"


def wire(far: int) -> None:
    """An uplink from the calling thread's host to a far machine, which knows the way to all containers, as an attacker would."""
    netlink.execute(netlink.add_bridge("uplink"))
    master = socket.if_nametoindex("uplink")
    set_sysctl("net/ipv6/conf/uplink/accept_dad", "0")
    netlink.execute(
        netlink.add_veth("port0", master=master, peer="eth0", peer_netns=far, peer_mac="02:00:00:00:00:02"),
        netlink.set_link("port0", up=True),
        netlink.add_address(master, "192.0.2.1/24"),
        netlink.add_address(master, "192.0.2.11/24"),
        netlink.add_address(master, "fd00:2::11/64"),
        netlink.add_address(master, "fd00:2::1/64"),  # the latest is the one that packets leave with
        netlink.set_link(master, up=True),
    )

    def far_side() -> None:
        index = socket.if_nametoindex("eth0")
        set_sysctl("net/ipv6/conf/eth0/accept_dad", "0")
        netlink.execute(
            netlink.add_address(index, "192.0.2.2/24"),
            netlink.add_address(index, "fd00:2::2/64"),
            netlink.set_link(index, up=True),
        )
        netlink.execute(
            netlink.add_route("10.0.0.0/8", gateway="192.0.2.1"),
            netlink.add_route("fd00:91::/32", gateway="fd00:2::1"),
            netlink.settle(index),
        )

    in_netns(far, far_side)
    netlink.execute(netlink.settle("port0"), netlink.settle(master))
