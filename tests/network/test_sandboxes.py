"""The engine's sandboxes: made, routed and let go."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.errors import NotFound
from wherry.linux import netlink
from wherry.linux.namespaces import in_netns
from wherry.model.networks import Attachment
from wherry_engine.engine.sandboxes import Sandboxes

pytestmark = pytest.mark.root


@pytest.fixture
def sandboxes(tmp_path: Path) -> Iterator[Sandboxes]:
    made = Sandboxes(tmp_path)
    yield made
    for container in made.list():
        made.remove(container)


def inside(sandboxes: Sandboxes, container: str, *command: str) -> str:
    namespace = sandboxes.open(container)
    try:
        return in_netns(namespace, lambda: subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    finally:
        os.close(namespace)


def plug(sandboxes: Sandboxes, container: str, interface: str, address: str) -> None:
    def make() -> None:
        netlink.execute(netlink.add_bridge(interface))
        index = socket.if_nametoindex(interface)
        netlink.execute(netlink.add_address(index, address), netlink.set_link(index, up=True))

    namespace = sandboxes.open(container)
    try:
        in_netns(namespace, make)
    finally:
        os.close(namespace)


def test_sandboxes_are_listed_until_removed_and_all_calls_may_be_repeated(sandboxes: Sandboxes) -> None:
    assert sandboxes.list() == ()
    for _ in range(2):
        sandboxes.create("b")
        sandboxes.create("a")
    assert sandboxes.list() == ["a", "b"]
    for _ in range(2):
        sandboxes.remove("a")
    assert sandboxes.list() == ["b"]


def test_a_sandbox_that_is_not_there_cannot_be_opened(sandboxes: Sandboxes) -> None:
    with pytest.raises(NotFound, match="container nosuch has no network namespace"):
        sandboxes.open("nosuch")
    sandboxes.path("left").parent.mkdir()
    sandboxes.path("left").touch()
    with pytest.raises(NotFound):
        sandboxes.open("left")


def test_new_interfaces_have_no_ipv6_but_the_loopback_keeps_its_own(sandboxes: Sandboxes) -> None:
    sandboxes.create("a")
    plug(sandboxes, "a", "eth0", "10.0.0.2/24")
    assert "inet6" not in inside(sandboxes, "a", "ip", "addr", "show", "eth0")
    assert "inet6 ::1" in inside(sandboxes, "a", "ip", "addr", "show", "lo")


def test_one_network_gives_the_default_route_and_all_give_their_own(sandboxes: Sandboxes) -> None:
    sandboxes.create("a")
    plug(sandboxes, "a", "eth0", "10.0.0.2/24")
    plug(sandboxes, "a", "eth1", "10.0.1.2/24")
    first = Attachment("", ("10.0.0.1",), (("10.8.0.0/16", "10.0.0.9"), ("10.9.0.0/16", "")))
    second = Attachment("", ("10.0.1.1",))
    pairs = [("eth0", first), ("eth1", second)]
    for _ in range(2):
        sandboxes.configure("a", pairs, ["eth0", "eth1"])
    shown = inside(sandboxes, "a", "ip", "route")
    assert "default via 10.0.0.1 dev eth0" in shown
    assert "10.8.0.0/16 via 10.0.0.9 dev eth0" in shown
    assert "10.9.0.0/16 dev eth0" in shown
    sandboxes.configure("a", pairs, ["eth1", "eth0"])
    assert inside(sandboxes, "a", "ip", "route", "show", "default").startswith("default via 10.0.1.1 dev eth1")
    sandboxes.configure("a", pairs, [])
    assert inside(sandboxes, "a", "ip", "route", "show", "default") == ""


def test_ipv6_has_a_default_route_of_its_own_from_the_first_network_that_has_a_gateway_of_it(
    sandboxes: Sandboxes,
) -> None:
    sandboxes.create("a")
    for interface, number in (("eth0", 0), ("eth1", 1)):
        plug(sandboxes, "a", interface, f"10.0.{number}.2/24")
        inside(sandboxes, "a", "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=0")
        inside(sandboxes, "a", "ip", "addr", "add", f"fd00:{number}::2/64", "dev", interface, "nodad")
    both = Attachment("", ("10.0.1.1", "fd00:1::1"))
    pairs = [("eth0", Attachment("", ("10.0.0.1",))), ("eth1", both)]
    for _ in range(2):
        sandboxes.configure("a", pairs, ["eth0", "eth1"])
    assert "default via 10.0.0.1 dev eth0" in inside(sandboxes, "a", "ip", "route")
    assert "default via fd00:1::1 dev eth1" in inside(sandboxes, "a", "ip", "-6", "route")
    sandboxes.configure("a", [("eth0", Attachment("", ("10.0.0.1", "fd00:0::1"))), ("eth1", both)], ["eth0", "eth1"])
    assert inside(sandboxes, "a", "ip", "-6", "route", "show", "default").count("default") == 1
    assert "default via fd00::1 dev eth0" in inside(sandboxes, "a", "ip", "-6", "route")


def test_a_network_without_a_gateway_gives_no_default_route(sandboxes: Sandboxes) -> None:
    sandboxes.create("a")
    plug(sandboxes, "a", "eth0", "10.0.0.2/24")
    sandboxes.configure("a", [("eth0", Attachment(""))], ["eth0"])
    sandboxes.configure("a", [], [])
    assert inside(sandboxes, "a", "ip", "route", "show", "default") == ""
