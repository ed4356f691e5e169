"""IPv6 on bridge networks, with real packets: what reaches what and with which source, and how hosts without it are told."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from tests.plugins.network.world import World

from wherry.linux.namespaces import set_sysctl
from wherry.spec.network import EndpointState, Invalid, Network, PortMapping, Unsupported
from wherry_network.bridge import Driver, ipv6

pytestmark = pytest.mark.root
WEB = PortMapping("tcp", "::", 8080, 80)
DNS = PortMapping("udp", "::", 8053, 53)
BOTH = ("10.91.1.0/24", "fd00:91:1::/64")
OTHER = ("10.91.2.0/24", "fd00:91:2::/64")


@pytest.fixture(params=["0", "1"], ids=["bridged-unseen", "bridged-filtered"])
def bridge_filter(request: pytest.FixtureRequest, world: World) -> str:
    """Both ways a host can treat frames of IPv6 within a bridge."""
    for each in ("iptables", "ip6tables"):
        set_sysctl(f"net/bridge/bridge-nf-call-{each}", request.param)
    return str(request.param)


def made(world: World, *subnets: str, internal: bool = False, **options: str) -> tuple[Driver, Network]:
    driver, network = world.driver(), world.network(*(subnets or BOTH), internal=internal, **options)
    driver.create_network(network)
    return driver, network


def test_the_interface_can_be_used_at_once_and_has_its_route(world: World) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    shown = web.run("ip -6 addr show dev eth0")
    assert f"inet6 {endpoint.addresses[1]} scope global" in shown
    assert "fe80::" in shown
    assert "tentative" not in shown + world.host.run(f"ip -6 addr show dev wbr{network.id[:12]}")
    assert "default via fd00:91:1::1 dev eth0" in web.run("ip -6 route")
    assert world.host.run("sysctl -n net.ipv6.conf.all.forwarding").strip() == "1"


def test_a_network_without_ipv6_has_none_on_bridge_and_interface_and_asks_for_no_forwarding(world: World) -> None:
    driver, network = made(world, BOTH[0])
    _, web = world.join(driver, network)
    assert "inet6" not in web.run("ip addr show dev eth0")
    assert web.run("sysctl -n net.ipv6.conf.eth0.disable_ipv6").strip() == "1"
    assert world.host.run("sysctl -n net.ipv6.conf.all.forwarding").strip() == "0"
    assert "table ip6" not in world.host.run("nft list tables")


def test_no_neighbour_can_lead_packets_elsewhere(world: World) -> None:
    driver, network = made(world)
    _, web = world.join(driver, network)
    assert web.run("sysctl -n net.ipv6.conf.eth0.accept_ra").strip() == "0"
    bridge = f"net.ipv6.conf.wbr{network.id[:12]}.accept_ra"
    assert world.host.run(f"sysctl -n {bridge}").strip() == "0"


def test_a_published_port_is_reached_from_outside_and_the_source_is_kept(world: World) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB, DNS])
    for address in ("fd00:2::1", "fd00:2::11"):
        assert web.sees_tcp(world.far, address, 8080) == "fd00:2::2"
    assert web.sees_udp(world.far, "fd00:2::1", 8053, at=53) == "fd00:2::2"
    assert web.sees_tcp(world.far, "fd00:2::1", 8081) is None
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) is None  # published on IPv6 alone


def test_the_host_reaches_published_ports_by_its_loopback_and_its_own_address(world: World, bridge_filter: str) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB, DNS])
    assert web.sees_tcp(world.host, "::1", 8080) == "fd00:91:1::1"
    assert web.sees_udp(world.host, "::1", 8053, at=53) == "fd00:91:1::1"
    assert web.sees_tcp(world.host, "fd00:2::1", 8080) is not None
    assert web.sees_tcp(world.host, web.address6, 80) == "fd00:91:1::1"
    driver.publish(network, endpoint, [])
    assert web.sees_tcp(world.host, "::1", 8080) is None


def test_a_port_published_on_an_address_is_reached_by_that_address_only(world: World) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    ports = [PortMapping("tcp", "fd00:2::11", 8080, 80), PortMapping("tcp", "::1", 9090, 80)]
    driver.publish(network, endpoint, ports)
    assert web.sees_tcp(world.far, "fd00:2::11", 8080) == "fd00:2::2"
    assert web.sees_tcp(world.far, "fd00:2::1", 8080) is None
    assert web.sees_tcp(world.host, "::1", 8080) is None
    assert web.sees_tcp(world.host, "::1", 9090) == "fd00:91:1::1"
    assert web.sees_tcp(world.far, "fd00:2::1", 9090) is None


def test_containers_reach_each_other_and_themselves_by_published_ports(world: World, bridge_filter: str) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    _, other = world.join(driver, network)
    driver.publish(network, endpoint, [WEB, DNS])
    assert web.sees_tcp(other, web.address6, 80) == other.address6
    assert web.sees_udp(other, web.address6, 53, at=53) == other.address6
    for place in (web, other):
        assert web.sees_tcp(place, "fd00:2::1", 8080) is not None
        assert web.sees_udp(place, "fd00:2::1", 8053, at=53) is not None


def test_two_networks_are_apart_but_for_published_ports(world: World) -> None:
    driver, front = made(world)
    back = world.network(*OTHER)
    driver.create_network(back)
    endpoint, web = world.join(driver, front)
    _, other = world.join(driver, back)
    driver.publish(front, endpoint, [WEB])
    assert web.sees_tcp(other, web.address6, 80) is None
    assert other.sees_tcp(web, other.address6, 80) is None
    assert web.sees_udp(other, web.address6, 53, at=53) is None
    assert web.sees_tcp(other, "fd00:2::1", 8080) is not None


def test_nobody_outside_is_led_to_what_is_not_published(world: World) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert web.sees_tcp(world.far, web.address6, 80) is None
    assert web.sees_udp(world.far, web.address6, 53, at=53) is None


def test_what_leaves_carries_the_hosts_address_unless_that_is_unwanted(world: World) -> None:
    driver, network = made(world)
    own = world.network(*OTHER, enable_ip_masquerade="false")
    driver.create_network(own)
    _, web = world.join(driver, network)
    _, seen = world.join(driver, own)
    assert world.far.sees_tcp(web, "fd00:2::2", 80) == "fd00:2::1"
    assert world.far.sees_udp(web, "fd00:2::2", 53, at=53) == "fd00:2::1"
    assert world.far.sees_tcp(seen, "fd00:2::2", 80) == seen.address6


def test_an_internal_network_takes_part_in_nothing_but_itself(world: World) -> None:
    driver, inner = made(world, internal=True)
    outer = world.network(*OTHER)
    driver.create_network(outer)
    endpoint, secret = world.join(driver, inner)
    _, neighbour = world.join(driver, inner)
    _, web = world.join(driver, outer)
    driver.publish(inner, endpoint, [WEB])
    assert secret.sees_tcp(neighbour, secret.address6, 80) == neighbour.address6
    assert secret.run("ip -6 route show default") == ""
    secret.run("ip -6 route add default via fd00:91:1::1")
    assert world.far.sees_tcp(secret, "fd00:2::2", 80) is None
    assert secret.sees_tcp(world.far, "fd00:2::1", 8080) is None
    assert secret.sees_tcp(world.far, secret.address6, 80) is None
    assert web.sees_tcp(secret, web.address6, 80) is None
    assert secret.sees_tcp(web, secret.address6, 80) is None


@pytest.mark.parametrize("filtered", [("0", "0"), ("1", "0"), ("1", "1")], ids=str)
def test_without_icc_neighbours_do_not_reach_each_other_whatever_the_firewall_sees(
    world: World, filtered: tuple[str, str]
) -> None:
    for name, value in zip(("iptables", "ip6tables"), filtered, strict=True):
        set_sysctl(f"net/bridge/bridge-nf-call-{name}", value)
    driver, network = made(world, enable_icc="false")
    _, web = world.join(driver, network)
    _, other = world.join(driver, network)
    assert web.sees_tcp(other, web.address6, 80) is None
    assert web.sees_tcp(other, web.address, 80) is None
    assert world.far.sees_tcp(other, "fd00:2::2", 80) == "fd00:2::1"


def test_a_network_of_ipv6_alone_lets_no_ipv4_through(world: World) -> None:
    driver, network = made(world, BOTH[1])
    endpoint, place = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert place.sees_tcp(world.far, "fd00:2::1", 8080) == "fd00:2::2"
    bridge = f"wbr{network.id[:12]}"
    world.host.run(f"ip addr add 10.91.9.1/24 dev {bridge}")
    place.run("ip addr add 10.91.9.2/24 dev eth0")
    place.run("ip route add default via 10.91.9.1")
    assert world.far.sees_tcp(place, "192.0.2.2", 80) is None


def test_a_new_holder_of_an_address_is_found_at_once(world: World) -> None:
    driver, network = made(world)
    _, asker = world.join(driver, network)
    for mac in ("02:42:00:00:00:01", "02:42:00:00:00:02"):
        endpoint, web = world.join(driver, network, mac=mac, addresses=("10.91.1.77/24", "fd00:91:1::77/64"))
        for source in (asker, world.host):
            assert web.sees_tcp(source, "fd00:91:1::77", 80) is not None, mac
        driver.detach(network, endpoint, web.netns)


def test_a_udp_sender_that_never_pauses_is_led_to_what_is_published_now(world: World) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    places = ((world.far, 0), (web, 53), (world.host, 8053))
    sender, inside, host = (place.udp(port, socket.AF_INET6) for place, port in places)
    with sender, inside, host:
        for number, (ports, receiver) in enumerate((([], host), ([DNS], inside), ([], host), ([DNS], inside))):
            driver.publish(network, endpoint, ports)
            sender.sendto(b"%d" % number, ("fd00:2::1", 8053))
            assert receiver.recv(10) == b"%d" % number


def test_both_tables_are_brought_back_and_compared(world: World) -> None:
    driver, network = made(world)
    endpoint, web = world.join(driver, network)
    state = [EndpointState(endpoint, (WEB, PortMapping("tcp", "0.0.0.0", 8080, 80)))]
    driver.reconcile([network], state)
    driver.watch()
    assert driver.check() == ()
    assert driver.differences([network], state) == []
    (table,) = {line.split()[2] for line in world.host.run("nft list tables").splitlines()}
    subprocess.run(["nft", "delete", "table", "ip6", table], check=True)
    assert driver.differences([network], state)
    driver.check()
    assert driver.differences([network], state) == []
    for address in ("fd00:2::1", "192.0.2.1"):
        assert web.sees_tcp(world.far, address, 8080) is not None


def test_the_table_of_ipv6_comes_and_goes_with_the_first_and_the_last_network_that_speaks_it(world: World) -> None:
    driver, four = made(world, OTHER[0])
    six = world.network(*BOTH)
    driver.create_network(six)
    assert "table ip6" in world.host.run("nft list tables")
    driver.delete_network(six)
    assert "table ip6" not in world.host.run("nft list tables")
    driver.delete_network(four)
    assert "table" not in world.host.run("nft list tables")


def test_a_firewall_that_drops_ipv6_is_told_for_the_networks_that_speak_it(world: World) -> None:
    driver, _ = made(world, OTHER[0])
    chain = "add table ip6 other; add chain ip6 other FORWARD { type filter hook forward priority 0; policy drop; }"
    subprocess.run(["nft", chain], check=True)
    assert driver.check() == ()
    six = world.network(*BOTH)
    driver.create_network(six)
    (sentence,) = driver.check()
    assert f"drops forwarded IPv6 packets of wbr{six.id[:12]}:" in sentence
    assert "nft 'insert rule ip6 other FORWARD iifname" in sentence


def test_integration_lets_ipv6_through_another_firewall(world: World) -> None:
    driver, network = world.driver(integrate=True), world.network(*BOTH)
    driver.create_network(network)
    _, web = world.join(driver, network)
    chain = "add table ip6 other; add chain ip6 other FORWARD { type filter hook forward priority 0; policy drop; }"
    subprocess.run(["nft", chain], check=True)
    assert driver.check() == ()
    assert world.far.sees_tcp(web, "fd00:2::2", 80) == "fd00:2::1"
    driver.delete_network(network)
    assert "accept" not in world.host.run("nft list table ip6 other")


def test_a_kernel_without_ipv6_refuses_such_networks_and_keeps_the_rest_of_known_ones(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ipv6, "SETTINGS", tmp_path / "missing")
    driver, network = world.driver(), world.network(*BOTH)
    with pytest.raises(Unsupported, match="needs IPv6, which this host's kernel has switched off"):
        driver.create_network(network)
    assert driver.list_networks() == []
    driver.reconcile([network], [])
    assert list(driver.list_networks()) == [network.id]
    assert "inet6" not in world.host.run(f"ip addr show wbr{network.id[:12]}")
    with pytest.raises(Unsupported, match="switched off"):
        world.join(driver, network)


def test_an_mtu_that_ipv6_cannot_have_is_refused(world: World) -> None:
    with pytest.raises(Invalid, match="MTU of at least 1280"):
        made(world, mtu="1200")


def test_a_host_address_of_an_ip_that_the_container_lacks_is_refused(world: World) -> None:
    driver, network = made(world, BOTH[0])
    endpoint, _ = world.join(driver, network)
    with pytest.raises(Unsupported, match="8080/tcp cannot be published on ::1"):
        driver.publish(network, endpoint, [PortMapping("tcp", "::1", 8080, 80)])
