"""Other people's firewalls and other people's hands: what is told, what is mended, and what is left alone."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable

import pytest
from tests.plugins.network.world import Place, World

from wherry.linux import netlink, programs
from wherry.spec.network import Network, PortMapping
from wherry_network.bridge import Driver
from wherry_network.bridge.links import bridge_name, veth_name

pytestmark = pytest.mark.root
WEB = PortMapping("tcp", "0.0.0.0", 8080, 80)
Nft = Callable[[str], str]

UFW = """
table ip filter {
	chain ufw-before-forward { ct state established,related accept; }
	chain FORWARD { type filter hook forward priority filter; policy drop; jump ufw-before-forward; }
}
"""
FIREWALLD = """
table inet firewalld {
	chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
		ct state established,related accept
		ct state invalid drop
		jump zones
		reject with icmpx admin-prohibited
	}
	chain zones { iifname "lan0" accept; }
}
"""
DOCKER = """
table ip filter {
	chain DOCKER-USER { counter return; }
	chain FORWARD { type filter hook forward priority filter; policy drop;
		counter jump DOCKER-USER
		iifname "docker0" oifname != "docker0" counter accept
	}
}
"""


def load(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def serve(world: World, driver: Driver, *, internal: bool = False) -> tuple[Network, Place]:
    """A network with a container whose port 8080 is published."""
    network = world.network(internal=internal)
    driver.create_network(network)
    endpoint, place = world.join(driver, network)
    driver.publish(network, endpoint, [WEB])
    return network, place


def reached(world: World, web: Place) -> bool:
    return web.sees_tcp(world.far, "192.0.2.1", 8080) is not None


@pytest.mark.parametrize(
    ("rules", "place", "entrance"),
    [
        (UFW, "ip filter FORWARD (policy drop)", "ip filter FORWARD"),
        (FIREWALLD, "inet firewalld filter_FORWARD (reject)", "inet firewalld filter_FORWARD"),
        (DOCKER, "ip filter FORWARD (policy drop)", "ip filter DOCKER-USER"),
    ],
    ids=["ufw", "firewalld", "dockerd"],
)
def test_a_chain_that_drops_is_told_and_what_is_said_of_it_mends_it(
    world: World, nft: Nft, rules: str, place: str, entrance: str
) -> None:
    driver = world.driver()
    _, web = serve(world, driver)
    assert driver.check() == ()
    load(rules)
    assert not reached(world, web)
    (told,) = driver.check()
    assert place in told
    assert '"firewall-integration": true' in told
    for key in ("iifname", "oifname"):
        command = f'insert rule {entrance} {key} "wbr*" counter accept'
        assert f"nft '{command}'" in told
        load(command)
    assert reached(world, web)
    assert driver.check() == ()


def test_a_chain_that_lets_our_packets_pass_is_no_fault(world: World) -> None:
    driver = world.driver()
    serve(world, driver)
    load("table ip open { chain forward { type filter hook forward priority 0; policy accept; tcp dport 25 drop; }; }")
    load("table ip6 filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }")
    load("table ip input { chain INPUT { type filter hook input priority 0; policy drop; }; }")
    assert driver.check() == ()


def test_an_internal_network_has_nothing_to_forward(world: World) -> None:
    driver = world.driver()
    serve(world, driver, internal=True)
    load(UFW)
    assert driver.check() == ()


@pytest.mark.parametrize("rules", [UFW, FIREWALLD, DOCKER], ids=["ufw", "firewalld", "dockerd"])
def test_integration_adds_marked_accepts_and_takes_them_out_again(world: World, nft: Nft, rules: str) -> None:
    load(rules)
    before = nft("list ruleset")
    driver = world.driver(integrate=True)
    network, web = serve(world, driver)
    assert not reached(world, web)
    assert driver.check() == ()
    assert reached(world, web)
    assert nft("list ruleset").count('comment "wherry-one"') == 2
    assert driver.check() == ()
    assert nft("list ruleset").count('comment "wherry-one"') == 2
    if rules is DOCKER:
        shown = subprocess.run(["iptables", "-S", "DOCKER-USER"], capture_output=True, text=True, check=True).stdout
        assert shown.count("--comment wherry-one -j ACCEPT") == 2
    for endpoint in driver.list_endpoints():
        driver.detach(network, next(e for e in driver._endpoints.values() if e.id == endpoint[1]), None)
    driver.delete_network(network)
    assert _without_counts(nft("list ruleset")) == _without_counts(before)


def _without_counts(rules: str) -> list[str]:
    return [line.split(" packets ")[0] for line in rules.splitlines()]


def test_integration_comes_back_after_a_reload_and_leaves_with_each_network(world: World, nft: Nft) -> None:
    load(UFW)
    driver = world.driver(integrate=True)
    driver.watch()
    first, _ = serve(world, driver)
    second = world.network("10.91.9.0/24")
    driver.create_network(second)
    driver.check()
    assert nft("list ruleset").count('comment "wherry-one"') == 4
    load("flush chain ip filter FORWARD\nadd rule ip filter FORWARD jump ufw-before-forward")
    driver.check()
    assert nft("list ruleset").count('comment "wherry-one"') == 4
    driver.delete_network(second)
    marked = [line for line in nft("list ruleset").splitlines() if 'comment "wherry-one"' in line]
    assert len(marked) == 2
    assert all(f"wbr{first.id[:12]}" in line for line in marked)


def test_a_drop_in_legacy_tables_is_told(world: World) -> None:
    driver = world.driver(integrate=True)
    _, web = serve(world, driver)
    subprocess.run(["iptables-legacy", "-P", "FORWARD", "DROP"], check=True)
    assert not reached(world, web)
    (told,) = driver.check()
    assert "iptables-legacy filter FORWARD (policy drop)" in told
    for flag in ("-i", "-o"):
        command = f"iptables-legacy -I FORWARD {flag} wbr+ -j ACCEPT"
        assert command in told
        subprocess.run(command.split(), check=True)
    assert reached(world, web)
    assert driver.check() == ()


def test_a_program_that_cannot_read_the_legacy_tables_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = world.driver()
    serve(world, driver)
    subprocess.run(["iptables-legacy", "-P", "FORWARD", "DROP"], check=True)
    monkeypatch.setattr(programs, "find", lambda name: "/bin/false")
    (told,) = driver.check()
    assert "legacy tables drop forwarded packets is not known: /bin/false failed with status 1" in told


FOREIGN = "table inet theirs { set s { type ipv4_addr; elements = { 10.0.0.1 }; }; chain c { type filter hook input priority 0; }; }"


@pytest.mark.parametrize(
    "harm", ["delete table ip wherry_one", "flush table ip wherry_one", "flush set ip wherry_one bridges"]
)
def test_the_table_comes_back_when_someone_breaks_it_and_others_stay_as_they_are(
    world: World, nft: Nft, harm: str
) -> None:
    driver = world.driver()
    _, web = serve(world, driver)
    driver.watch()
    driver.check()
    load(FOREIGN)
    foreign, whole = nft("-a list table inet theirs"), nft("list table ip wherry_one")
    load(harm)
    driver.check()
    assert nft("-a list table inet theirs") == foreign
    assert nft("list table ip wherry_one") == whole
    assert reached(world, web)


def test_a_flushed_ruleset_comes_back(world: World, nft: Nft) -> None:
    driver = world.driver()
    _, web = serve(world, driver)
    driver.watch()
    driver.check()
    load("flush ruleset")
    driver.check()
    assert reached(world, web)


def test_a_deleted_bridge_and_a_port_that_left_it_come_back(world: World) -> None:
    driver = world.driver()
    network, web = serve(world, driver)
    driver.watch()
    driver.check()
    name = bridge_name(network, network.options)
    netlink.remove_link(name)
    driver.check()
    assert reached(world, web)
    ((_, endpoint),) = driver.list_endpoints()
    world.host.run(f"ip link set {veth_name(endpoint)} nomaster")
    driver.check()
    assert reached(world, web)


def test_own_changes_are_not_taken_for_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = world.driver()
    number = driver.watch()
    driver.check()
    serve(world, driver)
    assert select.select([number], [], [], 0)[0]
    rendered: list[str] = []
    monkeypatch.setattr(driver._firewall, "restore", lambda: rendered.append("whole"))
    monkeypatch.setattr(driver, "_mend_links", lambda: rendered.append("links"))
    driver.check()
    assert rendered == []
    assert not select.select([number], [], [], 0)[0]
    load("add table ip somebody")
    assert select.select([number], [], [], 0)[0]
    driver.check()
    assert rendered == []
    load("delete table ip wherry_one")
    driver.check()
    assert rendered == ["whole"]


def test_a_check_that_failed_is_made_up_for_by_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = world.driver()
    _, web = serve(world, driver)
    driver.watch()
    driver.check()
    load("flush ruleset")
    with monkeypatch.context() as patch:
        patch.setattr(driver._firewall, "restore", _fail)
        with pytest.raises(OSError, match="not now"):
            driver._firewall.restore()
        with pytest.raises(Exception, match="not now"):
            driver.check()
    driver.check()
    assert reached(world, web)


def _fail() -> None:
    raise OSError(os.EX_TEMPFAIL, "not now")
