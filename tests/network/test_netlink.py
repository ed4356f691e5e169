"""The netlink encoder against the real kernel, seen with iproute2's eyes, in a namespace of the test's own."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.linux import netlink
from wherry.linux.namespaces import CLONE_NEWNET, create_netns, in_netns, remove_netns
from wherry.linux.syscalls import call

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def sandbox(tmp_path: Path) -> Iterator[int]:
    """The test's thread is in a namespace of its own; the value is a second one."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    spaces = []
    for name in ("first", "second"):
        create_netns(tmp_path / name)
        spaces.append(os.open(tmp_path / name, os.O_RDONLY | os.O_CLOEXEC))
    call("setns", spaces[0], CLONE_NEWNET)
    try:
        yield spaces[1]
    finally:
        call("setns", home, CLONE_NEWNET)
        for fd in (home, *spaces):
            os.close(fd)
        for name in ("first", "second"):
            remove_netns(tmp_path / name)


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def test_a_bridge_has_the_address_the_size_and_the_alias_given() -> None:
    netlink.execute(
        netlink.add_bridge("br0", mac="02:42:00:00:00:07", mtu=1400), netlink.set_link("br0", alias="mine", up=True)
    )
    shown = ip("-d", "link", "show", "br0")
    assert "02:42:00:00:00:07" in shown
    assert "mtu 1400" in shown
    assert "alias mine" in shown
    found = netlink.find_link("br0")
    assert found is not None
    assert (found.kind, found.alias, found.up, found.mac) == ("bridge", "mine", True, "02:42:00:00:00:07")


def test_what_exists_already_is_an_error_that_names_it() -> None:
    netlink.execute(netlink.add_bridge("br0"))
    with pytest.raises(FileExistsError, match="bridge br0"):
        netlink.execute(netlink.add_bridge("br0"))


def test_the_requests_of_a_batch_are_carried_out_though_one_fails() -> None:
    with pytest.raises(OSError, match="settings of nosuch"):
        netlink.execute(netlink.set_link("nosuch", up=True), netlink.add_bridge("br0"))
    assert netlink.find_link("br0") is not None


def test_the_kernels_own_reason_is_part_of_an_error() -> None:
    with pytest.raises(OSError, match=r"route to default: .*\(.*gateway.*\)") as caught:
        netlink.execute(netlink.add_route("default", gateway="10.0.0.1"))
    assert caught.value.errno in (errno.ENETUNREACH, errno.EINVAL)


def test_a_pair_is_a_port_of_its_bridge_here_and_an_interface_there(sandbox: int) -> None:
    netlink.execute(netlink.add_bridge("br0"))
    bridge = socket.if_nametoindex("br0")
    netlink.execute(
        netlink.add_veth(
            "port0", master=bridge, peer="eth0", peer_netns=sandbox, peer_mac="02:42:0a:00:00:02", mtu=1400
        ),
        netlink.set_link("port0", up=True, quiet=True, port=netlink.bridge_port(hairpin=True, isolated=True)),
    )
    shown = ip("-d", "link", "show", "port0")
    for words in ("master br0", "hairpin on", "isolated on", "addrgenmode none", "mtu 1400"):
        assert words in shown

    def there() -> str:
        index = socket.if_nametoindex("eth0")
        netlink.execute(
            netlink.add_address(index, "10.0.0.2/24"),
            netlink.set_link(index, up=True),
            netlink.add_route("default", gateway="10.0.0.1"),
            netlink.add_route("10.7.0.0/16", index=index),
        )
        return ip("addr", "show", "eth0") + ip("route")

    shown = in_netns(sandbox, there)
    for words in (
        "02:42:0a:00:00:02",
        "inet 10.0.0.2/24 brd 10.0.0.255",
        "default via 10.0.0.1",
        "10.7.0.0/16 dev eth0",
    ):
        assert words in shown


def test_removing_a_link_takes_both_ends_and_succeeds_if_there_is_none(sandbox: int) -> None:
    netlink.execute(netlink.add_bridge("br0"))
    bridge = socket.if_nametoindex("br0")
    netlink.execute(
        netlink.add_veth("port0", master=bridge, peer="eth0", peer_netns=sandbox, peer_mac="02:42:0a:00:00:02")
    )
    for _ in range(2):
        netlink.remove_link("port0")
        assert netlink.find_link("port0") is None
        netlink.execute(netlink.delete_link("port0"))
    assert in_netns(sandbox, lambda: netlink.find_link("eth0")) is None


def test_removing_what_the_kernel_protects_is_an_error() -> None:
    with pytest.raises(OSError, match="end of lo"):
        netlink.remove_link("lo")


def test_the_default_route_can_be_replaced_and_taken_away_twice() -> None:
    netlink.execute(netlink.add_bridge("br0"))
    index = socket.if_nametoindex("br0")
    netlink.execute(netlink.add_address(index, "10.0.0.2/24"), netlink.set_link(index, up=True))
    for gateway in ("10.0.0.1", "10.0.0.254"):
        netlink.execute(netlink.add_route("default", gateway=gateway))
    assert ip("route", "show", "default").split()[:3] == ["default", "via", "10.0.0.254"]
    for _ in range(2):
        netlink.execute(netlink.delete_default_route())
    assert ip("route", "show", "default") == ""


def test_live_routes_are_all_destinations_but_everything() -> None:
    netlink.execute(netlink.add_bridge("br0"))
    index = socket.if_nametoindex("br0")
    netlink.execute(netlink.add_address(index, "10.0.0.2/24"), netlink.set_link(index, up=True))
    netlink.execute(
        netlink.add_route("default", gateway="10.0.0.1"), netlink.add_route("172.18.0.0/16", gateway="10.0.0.1")
    )
    netlink.execute(netlink.add_address(index, "fd00:1::2/64"), netlink.add_route("default", gateway="fd00:1::1"))
    assert sorted(netlink.live_routes()) == ["10.0.0.0/24", "172.18.0.0/16", "fd00:1::/64", "fe80::/64"]


def test_every_link_is_listed_with_its_name_kind_and_master() -> None:
    netlink.execute(netlink.add_bridge("br0"))
    found = {link.name: link for link in netlink.links()}
    assert found["lo"].up
    assert (found["br0"].kind, found["br0"].master) == ("bridge", 0)
