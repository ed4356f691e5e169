"""A network's address pools: what was asked for, completed by what the engine chooses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from wherry.model.networks import IpamPool, NetworkSpec
from wherry_engine.engine import ipam


def versions(spec: NetworkSpec) -> list[int]:
    """Which IP the network has, IPv4 (4) first."""
    return [version for version, wanted in ((4, spec.enable_ipv4), (6, spec.enable_ipv6)) if wanted]


def is_open(spec: NetworkSpec) -> bool:
    """Whether the engine has to choose a subnet."""
    return not all(all(pool.subnet for pool in _asked(spec, version)) for version in versions(spec))


def complete(
    spec: NetworkSpec, used: Mapping[str, str], routes: Iterable[str], choices: Mapping[int, Iterable[tuple[str, int]]]
) -> NetworkSpec:
    """With a subnet and a gateway in every pool of an IP that the network has; what is asked for another is kept as it is.

    `used` maps the subnets of networks to their names, `choices` 4 and 6 to where a subnet is chosen from. Raises
    `Forbidden` or `Invalid` for a pool that cannot be.
    """
    known, pools = dict(used), []
    for version in versions(spec):
        for pool in _asked(spec, version):
            subnet = pool.subnet or ipam.choose_pool(known, routes, choices[version])
            done = ipam.complete_pool(attrs.evolve(pool, subnet=subnet, chosen=pool.chosen or not pool.subnet))
            ipam.check_overlap(done.subnet, known)
            known[done.subnet] = spec.name
            pools.append(done)
    return attrs.evolve(spec, pools=(*pools, *unused(spec)))


def unused(spec: NetworkSpec) -> tuple[IpamPool, ...]:
    """Pools of an IP that the network does not have."""
    return tuple(pool for pool in spec.pools if pool.version not in versions(spec))


def _asked(spec: NetworkSpec, version: int) -> list[IpamPool]:
    """Its pools; one without a subnet is for the engine to fill, and taken for IPv4."""
    return [pool for pool in spec.pools if pool.version == version] or [IpamPool(subnet="")]
