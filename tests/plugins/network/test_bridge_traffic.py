"""Real packets between real namespaces: what reaches what, and with which source address."""

from __future__ import annotations

import socket

import pytest
from tests.plugins.network.world import World

from wherry.linux.namespaces import in_netns
from wherry.spec.network import PortMapping

pytestmark = pytest.mark.root
WEB = PortMapping("tcp", "0.0.0.0", 8080, 80)
DNS = PortMapping("udp", "0.0.0.0", 8053, 53)


def test_a_published_tcp_port_is_reached_from_outside_and_the_source_is_kept(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"
    assert web.sees_tcp(world.far, "192.0.2.11", 8080) == "192.0.2.2"
    assert web.sees_tcp(world.far, "192.0.2.1", 8081) is None


def test_a_published_udp_port_is_reached_from_outside_and_the_source_is_kept(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, dns = world.join(driver, network)
    driver.publish(network, endpoint, [DNS])
    assert dns.sees_udp(world.far, "192.0.2.1", 8053, at=53) == "192.0.2.2"


def test_the_host_reaches_published_ports_by_127_0_0_1_and_by_its_own_address(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB, DNS])
    assert web.sees_tcp(world.host, "127.0.0.1", 8080) == "10.91.1.1"
    assert web.sees_udp(world.host, "127.0.0.1", 8053, at=53) == "10.91.1.1"
    assert web.sees_tcp(world.host, "192.0.2.1", 8080) is not None
    assert web.sees_tcp(world.host, web.address, 80) == "10.91.1.1"


def test_a_container_reaches_its_own_published_port(world: World, bridge_filter: str) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB, DNS])
    assert web.sees_tcp(web, "192.0.2.1", 8080) is not None
    assert web.sees_tcp(web, "10.91.1.1", 8080) is not None
    assert web.sees_udp(web, "192.0.2.1", 8053, at=53) is not None


def test_containers_of_one_network_reach_each_other_directly_and_by_published_ports(
    world: World, bridge_filter: str
) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    _, other = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert web.sees_tcp(other, web.address, 80) == other.address
    assert web.sees_udp(other, web.address, 53, at=53) == other.address
    assert web.sees_tcp(other, "192.0.2.1", 8080) is not None


def test_containers_of_two_networks_reach_each_other_by_published_ports_only(world: World) -> None:
    driver = world.driver()
    front, back = world.network("10.91.1.0/24"), world.network("10.91.2.0/24")
    driver.create_network(front)
    driver.create_network(back)
    endpoint, web = world.join(driver, front)
    _, other = world.join(driver, back)
    driver.publish(front, endpoint, [WEB])
    assert web.sees_tcp(other, web.address, 80) is None
    assert other.sees_tcp(web, other.address, 80) is None
    assert web.sees_udp(other, web.address, 53, at=53) is None
    assert web.sees_tcp(other, "192.0.2.1", 8080) is not None


def test_what_leaves_a_network_carries_the_hosts_address(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    _, web = world.join(driver, network)
    assert world.far.sees_tcp(web, "192.0.2.2", 80) == "192.0.2.1"
    assert world.far.sees_udp(web, "192.0.2.2", 53, at=53) == "192.0.2.1"


def test_the_very_first_packet_of_a_new_network_arrives(world: World) -> None:
    driver = world.driver()
    for number in range(12):
        network = world.network(f"10.92.{number}.0/24")
        driver.create_network(network)
        _, place = world.join(driver, network)
        with world.far.udp(5000) as server, place.udp() as client:
            client.sendto(b"x", ("192.0.2.2", 5000))  # sent once: a drop here is a second's wait for TCP
            assert server.recv(10) == b"x"


def test_without_masquerading_the_container_keeps_its_own_address(world: World) -> None:
    driver, network = world.driver(), world.network(enable_ip_masquerade="false")
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert world.far.sees_tcp(web, "192.0.2.2", 80) == web.address
    assert web.sees_tcp(web, "192.0.2.1", 8080) is not None


def test_nobody_outside_is_led_to_a_port_that_is_not_published(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert web.sees_tcp(world.far, web.address, 80) is None
    assert web.sees_tcp(world.far, web.address, 8080) is None
    assert web.sees_udp(world.far, web.address, 53, at=53) is None


def test_an_internal_network_takes_part_in_nothing_but_itself(world: World) -> None:
    driver = world.driver()
    inner, outer = world.network("10.91.1.0/24", internal=True), world.network("10.91.2.0/24")
    driver.create_network(inner)
    driver.create_network(outer)
    endpoint, secret = world.join(driver, inner)
    _, neighbour = world.join(driver, inner)
    published, web = world.join(driver, outer)
    driver.publish(inner, endpoint, [WEB])
    driver.publish(outer, published, [PortMapping("tcp", "0.0.0.0", 8081, 80)])
    assert secret.sees_tcp(neighbour, secret.address, 80) == neighbour.address
    assert secret.run("ip route show default") == ""
    secret.run("ip route add default via 10.91.1.1")
    assert world.far.sees_tcp(secret, "192.0.2.2", 80) is None
    assert secret.sees_tcp(world.far, "192.0.2.1", 8080) is None
    assert secret.sees_tcp(world.far, secret.address, 80) is None
    assert web.sees_tcp(secret, web.address, 80) is None
    assert web.sees_tcp(secret, "10.91.1.1", 8081) is None
    assert secret.sees_tcp(web, secret.address, 80) is None


def test_without_icc_neighbours_reach_each_other_by_published_ports_only(world: World, bridge_filter: str) -> None:
    driver, network = world.driver(), world.network(enable_icc="false")
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    _, other = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert web.sees_tcp(other, web.address, 80) is None
    assert web.sees_udp(other, web.address, 53, at=53) is None
    assert web.sees_tcp(other, "192.0.2.1", 8080) is not None
    assert web.sees_tcp(web, "192.0.2.1", 8080) is not None
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"
    assert world.far.sees_tcp(other, "192.0.2.2", 80) == "192.0.2.1"


def test_a_port_published_on_an_address_is_reached_by_that_address_only(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(
        network, endpoint, [PortMapping("tcp", "192.0.2.11", 8080, 80), PortMapping("tcp", "127.0.0.1", 9090, 80)]
    )
    assert web.sees_tcp(world.far, "192.0.2.11", 8080) == "192.0.2.2"
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) is None
    assert web.sees_tcp(world.host, "127.0.0.1", 8080) is None
    assert web.sees_tcp(world.host, "127.0.0.1", 9090) == "10.91.1.1"
    assert web.sees_tcp(world.far, "192.0.2.1", 9090) is None


def test_ports_without_an_address_go_to_the_networks_own_one(world: World) -> None:
    driver, network = world.driver(), world.network(host_binding_ipv4="192.0.2.11")
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [PortMapping("tcp", "", 8080, 80)])
    assert web.sees_tcp(world.far, "192.0.2.11", 8080) == "192.0.2.2"
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) is None


def test_a_port_published_on_loopback_is_not_for_neighbours_that_forge_the_destination(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [PortMapping("tcp", "127.0.0.1", 9090, 80)])
    world.host.run("sysctl -qw net.ipv4.conf.all.route_localnet=1")  # as kube-proxy or dockerd may have done
    for place, gateway in ((world.far, "192.0.2.1"), (web, "10.91.1.1")):
        place.run("sysctl -qw net.ipv4.conf.all.route_localnet=1")
        place.run("ip addr del 127.0.0.1/8 dev lo")
        place.run(f"ip route add 127.0.0.1 via {gateway}")
        assert web.sees_tcp(place, "127.0.0.1", 9090) is None
    assert world.host.sees_tcp(web, "127.0.0.1", 80) is None


def test_a_thousand_ports_are_published_and_withdrawn_at_once(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [PortMapping("tcp", "0.0.0.0", port, port) for port in range(20000, 21000)])
    assert web.sees_tcp(world.far, "192.0.2.1", 20999, at=20999) == "192.0.2.2"
    driver.publish(network, endpoint, [])
    assert web.sees_tcp(world.far, "192.0.2.1", 20999, at=20999) is None


def test_a_udp_sender_that_never_pauses_is_led_to_what_is_published_now(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    old, before = world.join(driver, network)
    new, after = world.join(driver, network)
    with world.far.udp() as sender, before.udp(53) as first, after.udp(53) as second, world.host.udp(8053) as host:
        sender.sendto(b"0", ("192.0.2.1", 8053))
        assert host.recv(10) == b"0"
        driver.publish(network, old, [DNS])
        sender.sendto(b"1", ("192.0.2.1", 8053))
        assert first.recv(10) == b"1"
        driver.publish(network, old, [])
        sender.sendto(b"2", ("192.0.2.1", 8053))
        assert host.recv(10) == b"2"
        driver.publish(network, old, [DNS])
        sender.sendto(b"3", ("192.0.2.1", 8053))
        assert first.recv(10) == b"3"
        driver.detach(network, old, before.netns)
        sender.sendto(b"4", ("192.0.2.1", 8053))
        assert host.recv(10) == b"4"
        driver.publish(network, new, [DNS])
        sender.sendto(b"5", ("192.0.2.1", 8053))
        assert second.recv(10) == b"5"


def test_flows_that_pass_the_host_to_the_same_port_elsewhere_are_not_forgotten(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    _, client = world.join(driver, network)
    endpoint, _ = world.join(driver, network)
    with client.udp() as socket_inside, world.far.udp(8053) as server:
        socket_inside.sendto(b"?", ("192.0.2.2", 8053))
        _, peer = server.recvfrom(10)
        driver.publish(network, endpoint, [DNS])
        server.sendto(b"!", peer)
        assert socket_inside.recv(10) == b"!"


def test_a_connection_outlives_the_withdrawal_of_other_ports_and_a_new_table(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    with web.listen(80) as listener, world.far.udp():
        with _connect(world, "192.0.2.1", 8080) as client:
            served, _ = listener.accept()
            with served:
                driver.publish(network, endpoint, [WEB, DNS])
                driver.reconcile([network], [])
                served.sendall(b"x")
                assert client.recv(1) == b"x"


def _connect(world: World, address: str, port: int) -> socket.socket:
    return in_netns(world.far.netns, lambda: socket.create_connection((address, port), 1))
