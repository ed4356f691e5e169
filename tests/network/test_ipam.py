"""Which subnet a network gets and which address a container."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import Forbidden, Invalid, Unavailable
from wherry.model.networks import IpamPool
from wherry_engine.engine.ipam import Allocator, check_overlap, choose_pool, complete_pool, local_pools, mac_for


def test_subnets_come_in_dockers_order() -> None:
    used: list[str] = []
    for _ in range(31):
        used.append(choose_pool(used, ()))
    assert used[:4] == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/16"]
    assert used[14:17] == ["172.31.0.0/16", "192.168.0.0/20", "192.168.16.0/20"]
    assert used[30] == "192.168.240.0/20"


def test_a_freed_subnet_is_the_next_to_be_chosen() -> None:
    assert choose_pool(["172.17.0.0/16", "172.19.0.0/16"], ()) == "172.18.0.0/16"


def test_subnets_avoid_the_routes_of_the_host_whatever_their_size() -> None:
    assert choose_pool((), ["172.16.0.0/14", "172.20.7.0/24", "10.0.0.0/8", "fd00::/8"]) == "172.21.0.0/16"
    assert choose_pool((), ["128.0.0.0/1"], [("172.17.0.0/16", 16), ("10.8.0.0/16", 24)]) == "10.8.0.0/24"


def test_without_a_free_subnet_the_error_names_who_has_them() -> None:
    used = {"10.8.0.0/25": "web", "10.8.0.128/25": "db"}
    with pytest.raises(Invalid, match=r"have been fully subnetted \(web has 10\.8\.0\.0/25, db has 10\.8\.0\.128/25\)"):
        choose_pool(used, (), [("10.8.0.0/24", 25)])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(14, 28)), max_size=20))
def test_a_chosen_subnet_overlaps_nothing(taken: list[tuple[int, int]]) -> None:
    used = [str(ipaddress.ip_network((f"10.8.{third}.0", bits), strict=False)) for third, bits in taken]
    try:
        chosen = ipaddress.IPv4Network(choose_pool(used, (), [("10.8.0.0/16", 24)]))
    except Invalid:
        free = [
            n
            for n in ipaddress.IPv4Network("10.8.0.0/16").subnets(new_prefix=24)
            if not any(n.overlaps(ipaddress.IPv4Network(u)) for u in used)
        ]
        assert free == []
        return
    assert not any(chosen.overlaps(ipaddress.IPv4Network(other)) for other in used)


def test_ipv6_subnets_are_64s_of_a_unique_local_prefix_that_each_engine_has_for_itself() -> None:
    used = ["10.0.0.0/8"]
    for _ in range(3):
        used.append(choose_pool(used, ["10.9.0.0/16", "fe80::/64"], local_pools("one")))
    assert len(set(used)) == 4
    chosen = [ipaddress.IPv6Network(each) for each in used[1:]]
    assert all(each.prefixlen == 64 and each.subnet_of(ipaddress.IPv6Network("fd00::/8")) for each in chosen)
    assert len({each.supernet(new_prefix=48) for each in chosen}) == 1
    assert local_pools("one") == local_pools("one") != local_pools("two")
    assert choose_pool((), [used[1]], local_pools("one")) == used[2]


def test_a_subnet_that_overlaps_another_networks_is_refused() -> None:
    check_overlap("10.8.0.0/16", {"10.9.0.0/16": "web", "fd00::/64": "six"})
    with pytest.raises(
        Forbidden, match=r"Pool overlaps with other one on this address space: network web has 10\.8\.3\.0/24"
    ):
        check_overlap("10.8.0.0/16", {"10.8.3.0/24": "web"})


def test_a_pool_without_a_gateway_gets_the_first_address_that_is_not_reserved() -> None:
    assert complete_pool(IpamPool(subnet="10.8.0.0/16")).gateway == "10.8.0.1"
    assert complete_pool(IpamPool(subnet="10.8.0.0/16", auxiliary={"router": "10.8.0.1"})).gateway == "10.8.0.2"
    assert complete_pool(IpamPool(subnet="10.8.0.0/16", ip_range="10.8.5.0/24")).gateway == "10.8.5.0"
    assert complete_pool(IpamPool(subnet="fd00::/64")).gateway == "fd00::1"


def test_a_pools_own_gateway_stays() -> None:
    pool = IpamPool(subnet="10.8.0.0/16", gateway="10.8.0.254")
    assert complete_pool(pool) == pool


def test_all_that_is_wrong_with_a_pool_is_said_at_once() -> None:
    pool = IpamPool(
        subnet="10.8.0.5/24", ip_range="10.9.0.0/16", gateway="10.7.0.1", auxiliary={"a": "fd00::1", "b": "nonsense"}
    )
    with pytest.raises(Invalid) as caught:
        complete_pool(pool)
    assert caught.value.text.splitlines() == [
        "invalid network config:",
        "invalid subnet 10.8.0.5/24: it should be 10.8.0.0/24",
        "invalid ip-range 10.9.0.0/16: CIDR block is bigger than its parent subnet 10.8.0.0/24",
        "invalid ip-range 10.9.0.0/16: parent subnet 10.8.0.0/24 doesn't contain ip-range",
        "invalid gateway 10.7.0.1: parent subnet 10.8.0.0/24 doesn't contain this address",
        "invalid auxiliary address fd00::1: parent subnet is an IPv4 block",
        "invalid auxiliary address nonsense: invalid address",
    ]


@pytest.mark.parametrize("subnet", ["", "nonsense", "10.8.0.0", "10.8.0.0/33"])
def test_what_is_no_subnet_is_refused(subnet: str) -> None:
    with pytest.raises(Invalid, match=r"invalid subnet .*: invalid CIDR block notation"):
        complete_pool(IpamPool(subnet=subnet))


def test_addresses_come_lowest_first_and_freed_ones_again() -> None:
    pool = Allocator("10.8.0.0/24", "10.8.0.1")
    assert [pool.allocate() for _ in range(3)] == ["10.8.0.2/24", "10.8.0.3/24", "10.8.0.4/24"]
    pool.release("10.8.0.3/24")
    assert pool.allocate() == "10.8.0.3/24"


def test_after_a_known_last_address_the_next_one_comes_and_then_the_lowest() -> None:
    pool = Allocator("10.8.0.0/29", "10.8.0.1", last="10.8.0.4/29")
    assert [pool.allocate() for _ in range(4)] == ["10.8.0.5/29", "10.8.0.6/29", "10.8.0.2/29", "10.8.0.3/29"]


def test_the_first_address_is_the_subnets_own_the_last_its_broadcast_and_both_stay_free() -> None:
    pool = Allocator("10.8.0.0/29", "10.8.0.6", reserved=["10.8.0.3"], used={"10.8.0.2/29": "web"}, network="net (abc)")
    assert [pool.allocate(holder=name) for name in ("one", "two", "three")] == [
        "10.8.0.1/29",
        "10.8.0.4/29",
        "10.8.0.5/29",
    ]
    with pytest.raises(Unavailable) as caught:
        pool.allocate()
    assert caught.value.text == (
        "no available IPv4 addresses on this network's address pools: net (abc) "
        "(one has 10.8.0.1, web has 10.8.0.2, two has 10.8.0.4, three has 10.8.0.5)"
    )


def test_a_range_narrows_what_comes_unasked_but_not_what_is_asked_for() -> None:
    pool = Allocator("10.8.0.0/24", "10.8.0.1", "10.8.0.64/30")
    assert [pool.allocate() for _ in range(4)] == [f"10.8.0.{number}/24" for number in range(64, 68)]
    assert pool.allocate("10.8.0.200") == "10.8.0.200/24"
    with pytest.raises(Unavailable):
        pool.allocate()


def test_an_address_outside_the_subnet_is_refused() -> None:
    with pytest.raises(Invalid, match=r"no configured subnet contains IP address 10\.9\.0\.1"):
        Allocator("10.8.0.0/24", "10.8.0.1").allocate("10.9.0.1")
    with pytest.raises(Invalid, match="invalid IP address: nonsense"):
        Allocator("10.8.0.0/24", "10.8.0.1").allocate("nonsense")


@pytest.mark.parametrize("address", ["10.8.0.0", "10.8.0.1", "10.8.0.2", "10.8.0.255"])
def test_an_address_that_is_taken_is_refused(address: str) -> None:
    pool = Allocator("10.8.0.0/24", "10.8.0.1", reserved=["10.8.0.2"])
    with pytest.raises(Forbidden, match=r"Address already in use: .* is held by the network itself"):
        pool.allocate(address)


def test_the_holder_of_a_taken_address_is_named() -> None:
    pool = Allocator("10.8.0.0/24", "10.8.0.1", network="front")
    pool.allocate("10.8.0.9", holder="web")
    with pytest.raises(Forbidden, match=r"Address already in use: 10\.8\.0\.9 of network front is held by web"):
        pool.allocate("10.8.0.9")


def test_an_ipv6_subnet_has_no_broadcast_address() -> None:
    pool = Allocator("fd00::/126", "fd00::1")
    assert [pool.allocate(), pool.allocate()] == ["fd00::2/126", "fd00::3/126"]


def test_a_pool_of_more_than_2_to_the_64th_addresses_is_not_counted_through() -> None:
    pool = Allocator("fd00::/8", "fd00::1", reserved=["fd00::3"], used={"fd00::2/8": "web"})
    assert [pool.allocate() for _ in range(2)] == ["fd00::4/8", "fd00::5/8"]
    assert pool.allocate("fdff:ffff::1") == "fdff:ffff::1/8"
    assert complete_pool(IpamPool(subnet="fd00::/8")).gateway == "fd00::1"
    assert complete_pool(IpamPool(subnet="fd00::/16", ip_range="fd00:0:0:7::/64")).gateway == "fd00:0:0:7::"


def test_an_address_has_always_the_same_mac() -> None:
    assert mac_for("172.17.0.2/16") == mac_for("172.17.0.2") == "02:42:ac:11:00:02"
    assert mac_for("fd00::7:2/64") == "02:42:00:07:00:02"
