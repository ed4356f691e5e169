"""A network's pools: asked for, chosen, or kept without use."""

from __future__ import annotations

import pytest

from wherry.errors import Forbidden, Invalid
from wherry.model.networks import IpamPool, NetworkSpec
from wherry_engine.engine.ipam import DEFAULT_POOLS, local_pools
from wherry_engine.engine.network_pools import complete, is_open, unused, versions

CHOICES = {4: DEFAULT_POOLS, 6: (("fd00:1::/48", 64),)}
FOUR, SIX = IpamPool(subnet="10.8.0.0/24"), IpamPool(subnet="fd00:8::/64", gateway="fd00:8::ffff")


def completed(*pools: IpamPool, four: bool = True, six: bool = False, **used: str) -> list[tuple[str, str]]:
    spec = NetworkSpec(name="net", enable_ipv4=four, enable_ipv6=six, pools=pools)
    taken = {subnet: name for name, subnet in used.items()}
    return [(pool.subnet, pool.gateway) for pool in complete(spec, taken, (), CHOICES).pools]


def test_what_is_not_asked_for_is_chosen_for_each_ip() -> None:
    assert completed() == [("172.17.0.0/16", "172.17.0.1")]
    assert completed(six=True) == [("172.17.0.0/16", "172.17.0.1"), ("fd00:1::/64", "fd00:1::1")]
    assert completed(six=True, four=False) == [("fd00:1::/64", "fd00:1::1")]
    assert completed(SIX, six=True) == [("172.17.0.0/16", "172.17.0.1"), ("fd00:8::/64", "fd00:8::ffff")]
    assert completed(FOUR, six=True, other="fd00:1::/64") == [
        ("10.8.0.0/24", "10.8.0.1"),
        ("fd00:1:0:1::/64", "fd00:1:0:1::1"),
    ]


def test_ipv4_comes_first_in_whatever_order_they_are_asked_for() -> None:
    assert completed(SIX, FOUR, six=True) == [("10.8.0.0/24", "10.8.0.1"), ("fd00:8::/64", "fd00:8::ffff")]


def test_a_pool_of_an_ip_that_is_off_is_kept_as_it_is_and_collides_with_nobody() -> None:
    loose = IpamPool(subnet="fd00:8::/64")
    assert completed(loose, FOUR, web="fd00:8::/64") == [("10.8.0.0/24", "10.8.0.1"), ("fd00:8::/64", "")]
    spec = NetworkSpec(name="net", pools=(loose, FOUR))
    assert unused(spec) == (loose,)
    assert spec.used_pools == (FOUR,)


def test_an_ipv6_pool_that_overlaps_is_refused_and_so_is_a_gateway_elsewhere() -> None:
    with pytest.raises(Forbidden, match="Pool overlaps"):
        completed(SIX, six=True, web="fd00::/16")
    with pytest.raises(Invalid, match="doesn't contain this address"):
        completed(IpamPool(subnet="fd00:8::/64", gateway="fd00:9::1"), six=True)
    with pytest.raises(Invalid, match="parent subnet is an IPv6 block"):
        completed(IpamPool(subnet="fd00:8::/64", gateway="10.0.0.1"), six=True)


def test_routes_are_looked_at_only_where_a_subnet_is_chosen() -> None:
    assert is_open(NetworkSpec(name="net", pools=(SIX,)))
    assert not is_open(NetworkSpec(name="net", pools=(FOUR,)))
    assert is_open(NetworkSpec(name="net", pools=(FOUR,), enable_ipv6=True))
    assert versions(NetworkSpec(name="net", enable_ipv4=False)) == []
    assert CHOICES[6] != local_pools("one")
