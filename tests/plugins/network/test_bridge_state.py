"""What the bridge driver makes on the host, that it can be asked twice, and that all of it goes away."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from tests.plugins.network.world import World

from wherry.errors import Conflict, Failed, Forbidden
from wherry.linux import netlink
from wherry.linux.namespaces import set_sysctl
from wherry.spec.network import EndpointState, PortMapping

pytestmark = pytest.mark.root
WEB = PortMapping("tcp", "0.0.0.0", 8080, 80)
Nft = Callable[[str], str]


def names() -> set[str]:
    return {link.name for link in netlink.links()}


def test_all_calls_may_be_repeated_and_all_that_was_made_goes_away(world: World, nft: Nft) -> None:
    driver, network, before = world.driver(), world.network(), names()
    for _ in range(2):
        driver.create_network(network)
    endpoint, web = world.join(driver, network)
    again = driver.attach(network, endpoint, web.netns)
    assert again is not None
    assert again.mac == endpoint.mac
    for _ in range(2):
        driver.publish(network, endpoint, [WEB])
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"
    for _ in range(2):
        driver.detach(network, endpoint, web.netns)
    assert driver.list_endpoints() == []
    assert "8080" not in nft("list ruleset")
    for _ in range(2):
        driver.delete_network(network)
    assert names() == before
    assert nft("list tables") == ""


def test_differences_between_rules_and_state_are_told_and_reconcile_leaves_none(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, _ = world.join(driver, network)
    states = [EndpointState(endpoint, (WEB,))]
    driver.reconcile([network], states)
    assert driver.differences([network], states) == []
    (table,) = [line.split()[2] for line in nft("list tables").splitlines()]
    nft(f"add element ip {table} pub_any {{ udp . 99 : 10.9.9.9 . 1 }}")
    nft(f"delete element ip {table} pub_any {{ tcp . 8080 }}")
    nft(f"add chain ip {table} stranger")
    told = driver.differences([network], states)
    assert len(told) == 3
    assert f"the chain stranger is in table ip {table} and should not be" in told
    assert f"the element udp . 99 : 10.9.9.9 . 1 of pub_any is in table ip {table} and should not be" in told
    assert any(line.endswith(f"of pub_any is missing in table ip {table}") for line in told)
    assert nft("list tables") == f"table ip {table}\n"
    driver.reconcile([network], states)
    assert driver.differences([network], states) == []


def test_what_never_was_can_be_detached_and_deleted(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.detach(network, world.endpoint(network), None)
    driver.delete_network(network)
    assert nft("list tables") == ""


def test_an_endpoint_whose_sandbox_is_gone_can_be_detached(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint = world.endpoint(network)
    netns = world.sandboxes.open(endpoint.container_id)
    driver.attach(network, endpoint, netns)
    driver.publish(network, endpoint, [WEB])
    os.close(netns)
    world.sandboxes.remove(endpoint.container_id)
    driver.detach(network, endpoint, None)
    assert driver.list_endpoints() == []


def test_the_host_shows_the_full_ids_of_this_engines_networks_and_endpoints(world: World) -> None:
    one, two = world.driver("one"), world.driver("two")
    network, other = world.network("10.91.1.0/24"), world.network("10.91.2.0/24")
    one.create_network(network)
    two.create_network(other)
    endpoint, _ = world.join(one, network)
    assert one.list_networks() == [network.id]
    assert one.list_endpoints() == [(network.id, endpoint.id)]
    assert two.list_networks() == [other.id]
    assert two.list_endpoints() == []


def test_the_interface_has_the_address_the_mac_and_the_mtu_asked_for_and_no_ipv6(world: World) -> None:
    driver, network = world.driver(), world.network(mtu="1400")
    driver.create_network(network)
    _, web = world.join(driver, network, mac="02:42:aa:bb:cc:dd", interface="net7")
    shown = web.run("ip addr show net7")
    assert "mtu 1400" in shown
    assert "02:42:aa:bb:cc:dd" in shown
    assert f"inet {web.address}/24 brd 10.91.1.255" in shown
    assert "inet6" not in shown
    assert web.run("ip route show default").startswith("default via 10.91.1.1 dev net7")
    assert "inet6" not in world.host.run(f"ip addr show wbr{network.id[:12]}")
    assert "inet 10.91.1.1/24" in world.host.run(f"ip addr show wbr{network.id[:12]}")


def test_without_a_mac_the_endpoint_gets_one_that_stays(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint = world.endpoint(network, mac=None)
    netns = world.place(endpoint).netns
    first, second = driver.attach(network, endpoint, netns), driver.attach(network, endpoint, netns)
    assert first == second
    assert first is not None
    assert first.mac.startswith("02:42:")


def test_an_endpoint_that_led_elsewhere_is_made_again_in_the_sandbox_given(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, _ = world.join(driver, network)
    elsewhere = world.place(world.endpoint(network))
    driver.attach(network, endpoint, elsewhere.netns)
    assert endpoint.addresses[0] in elsewhere.run("ip addr show eth0")


def test_an_interface_name_that_the_sandbox_has_already_is_refused(world: World) -> None:
    driver = world.driver()
    front, back = world.network("10.91.1.0/24"), world.network("10.91.2.0/24")
    driver.create_network(front)
    driver.create_network(back)
    endpoint, web = world.join(driver, front)
    second = attrs.evolve(endpoint, id="f" * 64, network_id=back.id, addresses=("10.91.2.9/24",))
    with pytest.raises(Conflict, match="has an interface eth0 already"):
        driver.attach(back, second, web.netns)
    assert driver.list_endpoints() == [(front.id, endpoint.id)]


def test_a_container_can_be_on_two_networks(world: World) -> None:
    driver = world.driver()
    front, back = world.network("10.91.1.0/24"), world.network("10.91.2.0/24")
    driver.create_network(front)
    driver.create_network(back)
    endpoint, web = world.join(driver, front)
    second = attrs.evolve(endpoint, id="e" * 64, network_id=back.id, addresses=("10.91.2.99/24",), interface="eth1")
    driver.attach(back, second, web.netns)
    _, other = world.join(driver, back)
    assert web.sees_tcp(other, "10.91.2.99", 80) == other.address
    driver.detach(back, second, web.netns)
    assert web.sees_tcp(other, "10.91.2.99", 80) is None
    assert "eth1" not in web.run("ip addr")


def test_a_bridge_has_the_name_asked_for(world: World) -> None:
    driver, network = world.driver(), world.network(name="mine0")
    driver.create_network(network)
    assert "mine0" in names()
    driver.delete_network(network)
    assert "mine0" not in names()


def test_a_bridge_of_another_network_or_engine_is_refused(world: World) -> None:
    driver, network = world.driver(), world.network(name="mine0")
    driver.create_network(network)
    with pytest.raises(Forbidden, match=f"conflicts with network {network.id} .mine0.: networks have same bridge name"):
        driver.create_network(world.network("10.91.2.0/24", name="mine0"))
    with pytest.raises(Conflict, match="it belongs to wherry:one"):
        world.driver("two").create_network(world.network("10.91.2.0/24", name="mine0"))
    with pytest.raises(Conflict, match="there is another interface of that name"):
        driver.create_network(world.network("10.91.2.0/24", name="port0"))


def test_a_bridge_that_someone_made_is_used_and_left_alone(world: World) -> None:
    netlink.execute(netlink.add_bridge("theirs"))
    driver, network = world.driver(), world.network(name="theirs")
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"
    driver.detach(network, endpoint, web.netns)
    driver.delete_network(network)
    assert "theirs" in names()


def test_an_error_of_the_kernel_says_what_it_prevented(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint = world.endpoint(network)
    with open("/dev/null") as wrong, pytest.raises(Failed, match=f"cannot join network {network.name}: veth"):
        driver.attach(network, endpoint, wrong.fileno())
    assert driver.list_endpoints() == []


def test_forwarding_is_turned_on_with_the_first_network_and_never_off(world: World) -> None:
    driver, network = world.driver(), world.network()
    set_sysctl("net/ipv4/ip_forward", "0")
    driver.create_network(network)
    driver.delete_network(network)
    assert world.host.run("cat /proc/sys/net/ipv4/ip_forward") == "1\n"


def test_a_flushed_ruleset_comes_back_with_reconcile(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    before = nft("list ruleset")
    nft("flush ruleset")
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) is None
    driver.reconcile([network], [EndpointState(endpoint, (WEB,))])
    assert nft("list ruleset") == before
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"


def test_a_deleted_bridge_comes_back_with_reconcile_and_its_containers_join_it_again(world: World) -> None:
    driver, network = world.driver(), world.network(enable_icc="false")
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    netlink.remove_link(f"wbr{network.id[:12]}")
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) is None
    driver.reconcile([network], [EndpointState(endpoint, (WEB,))])
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"
    assert driver.list_networks() == [network.id]


def test_an_attach_after_somebody_deleted_the_bridge_makes_it_again(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    netlink.remove_link(f"wbr{network.id[:12]}")
    _, web = world.join(driver, network)
    assert world.far.sees_tcp(web, "192.0.2.2", 80) == "192.0.2.1"


def test_any_change_after_a_flush_brings_everything_back(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    other, _ = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    driver.publish(network, other, [PortMapping("tcp", "0.0.0.0", 8081, 80)])
    nft("flush ruleset")
    driver.detach(network, other, None)
    assert "8081" not in nft("list ruleset")
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"


def test_reconcile_removes_the_ports_and_networks_that_should_not_be(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, _ = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    driver.reconcile([network], [])
    assert "8080" not in nft("list ruleset")
    driver.reconcile([], [])
    assert nft("list tables") == ""


def test_a_new_engine_leaves_the_rules_of_its_predecessor_until_it_reconciles(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    other, second = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    driver.publish(network, other, [PortMapping("tcp", "0.0.0.0", 8081, 80)])
    successor = world.driver()
    successor.detach(network, other, second.netns)  # an undo of its recovery
    successor.create_network(network)
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"
    successor.reconcile([network], [EndpointState(endpoint, (WEB,))])
    assert "8081" not in nft("list ruleset")
    successor.publish(network, endpoint, [])
    assert "8080" not in nft("list ruleset")


def test_ports_that_overlap_with_another_endpoints_are_an_error_that_changes_nothing(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint, web = world.join(driver, network)
    rival, _ = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    with pytest.raises(Conflict, match=f"port 8080/tcp of 0.0.0.0 belongs to {endpoint.id} already"):
        driver.publish(network, rival, [WEB])
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"


def test_two_engines_and_foreign_tables_live_side_by_side(world: World, nft: Nft) -> None:
    nft("add table inet theirs")
    nft("add chain inet theirs forward { type filter hook forward priority 5 ; policy accept ; }")
    foreign = nft("list table inet theirs")
    one, two = world.driver("one"), world.driver("two")
    first, second = world.network("10.91.1.0/24"), world.network("10.91.2.0/24")
    one.create_network(first)
    two.create_network(second)
    mine, web = world.join(one, first)
    yours, other = world.join(two, second)
    one.publish(first, mine, [WEB])
    two.publish(second, yours, [PortMapping("tcp", "0.0.0.0", 8081, 80)])
    assert web.sees_tcp(world.far, "192.0.2.1", 8080) == "192.0.2.2"
    assert other.sees_tcp(world.far, "192.0.2.1", 8081) == "192.0.2.2"
    assert other.sees_tcp(web, "192.0.2.1", 8081) is not None
    assert world.far.sees_tcp(other, "192.0.2.2", 80) == "192.0.2.1"
    assert other.sees_tcp(web, other.address, 80) is None
    assert web.sees_tcp(other, web.address, 80) is None
    one.detach(first, mine, web.netns)
    one.delete_network(first)
    assert other.sees_tcp(world.far, "192.0.2.1", 8081) == "192.0.2.2"
    assert nft("list table inet theirs") == foreign


def test_what_the_host_forwards_for_others_is_not_judged(world: World) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoint = world.endpoint(network)  # a sandbox that somebody else wires up, without a network of ours
    guest = world.place(endpoint)
    netlink.execute(netlink.add_bridge("theirs"))
    master = socket.if_nametoindex("theirs")
    netlink.execute(
        netlink.add_address(master, "10.77.0.1/24"),
        netlink.set_link(master, up=True),
        netlink.add_veth("port1", master=master, peer="eth0", peer_netns=guest.netns, peer_mac="02:00:00:00:00:09"),
        netlink.set_link("port1", up=True),
    )
    guest.run("ip addr add 10.77.0.9/24 dev eth0")
    guest.run("ip link set eth0 up")
    guest.run("ip route add default via 10.77.0.1")
    assert world.far.sees_tcp(guest, "192.0.2.2", 80) == "10.77.0.9"
    assert guest.sees_tcp(world.far, "10.77.0.9", 80) == "192.0.2.2"


def test_containers_come_and_go_side_by_side(world: World, nft: Nft) -> None:
    driver, network = world.driver(), world.network()
    driver.create_network(network)
    endpoints = [world.endpoint(network) for _ in range(24)]
    places = [world.place(endpoint).netns for endpoint in endpoints]

    def come_and_go(number: int) -> None:
        ports = [PortMapping("tcp", "0.0.0.0", 9000 + number, 80), PortMapping("udp", "127.0.0.1", 9000 + number, 80)]
        for _ in range(2):
            driver.attach(network, endpoints[number], places[number])
            driver.publish(network, endpoints[number], ports)
            driver.detach(network, endpoints[number], places[number])
        driver.attach(network, endpoints[number], places[number])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(len(endpoints))))
    assert sorted(driver.list_endpoints()) == sorted((network.id, endpoint.id) for endpoint in endpoints)
    assert " . 9" not in nft("list ruleset")
