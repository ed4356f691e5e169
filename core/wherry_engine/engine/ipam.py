"""Addresses: which subnet a network gets, and which address in it a container. Pure: all that is used is passed in."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs

from wherry.errors import Forbidden, Invalid, Unavailable
from wherry.model.networks import IpamPool

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

# Where Docker takes subnets from when it is told nothing: (pool, prefix length of the subnets in it).
DEFAULT_POOLS: tuple[tuple[str, int], ...] = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
_SHOWN = 16  # so many holders are named in an error


def local_pools(instance: str) -> tuple[tuple[str, int], ...]:
    """Where the engine of this id takes IPv6 subnets from, as Docker does: a unique local /48 of its own (RFC 4193)."""
    prefix = b"\xfd" + hashlib.sha256(instance.encode()).digest()[:5]
    return ((f"{IPv6Address(prefix + bytes(10))}/48", 64),)


def choose_pool(
    used: Iterable[str] | Mapping[str, str],
    routes: Iterable[str],
    pools: Iterable[tuple[str, int]] = DEFAULT_POOLS,
) -> str:
    """The first subnet of the pools that overlaps neither a network's subnet nor a route of the host.

    `used` may map subnets to the names of their networks; the error then names them. Raises Invalid when all are taken.
    """
    holders = _named(used)
    taken = [ipaddress.ip_network(subnet) for subnet in (*holders, *routes)]
    for base, length in pools:
        pool = ipaddress.ip_network(base)
        spans = sorted(_span(prefix) for prefix in taken if prefix.version == pool.version)
        step, (at, end) = 1 << (pool.max_prefixlen - length), _span(pool)
        while at < end:
            last = at + step - 1
            clash = next((stop for start, stop in spans if start <= last and stop >= at), None)
            if clash is None:
                return f"{_address(at, pool)}/{length}"
            at = max(last, clash) // step * step + step
    raise Invalid("all predefined address pools have been fully subnetted" + _shown(holders))


def check_overlap(subnet: str, used: Iterable[str] | Mapping[str, str]) -> None:
    """Raise Forbidden if the subnet overlaps one that a network has; `used` may map those to their networks' names."""
    asked = ipaddress.ip_network(subnet)
    for other, holder in _named(used).items():
        if asked.version == ipaddress.ip_network(other).version and asked.overlaps(ipaddress.ip_network(other)):
            whose = f"network {holder} has {other}" if holder else f"{other} is taken"
            raise Forbidden(f"invalid pool request: Pool overlaps with other one on this address space: {whose}")


def complete_pool(pool: IpamPool) -> IpamPool:
    """The pool with its gateway: the one asked for, or the first address that may be handed out.

    Raises Invalid with all that is wrong with the pool's subnet, range, gateway and reserved addresses.
    """
    subnet, faults = _prefix("subnet", pool.subnet)
    if subnet is None:
        raise Invalid("invalid network config:\n" + "\n".join(faults))
    if pool.ip_range:
        faults += _range_faults(pool.ip_range, subnet)
    if pool.gateway:
        faults += _address_faults("gateway", pool.gateway, subnet)
    for address in pool.auxiliary.values():
        faults += _address_faults("auxiliary address", address, subnet)
    if faults:
        raise Invalid("invalid network config:\n" + "\n".join(faults))
    if pool.gateway:
        return pool
    first = Allocator(pool.subnet, "", pool.ip_range, pool.auxiliary.values(), ()).allocate()
    return attrs.evolve(pool, gateway=first.partition("/")[0])


def mac_for(address: str) -> str:
    """The MAC address that goes with an IP address: the same address keeps the same neighbour entry everywhere.

    Of an IPv6 address the end counts: what differs within a network.
    """
    return "02:42:" + ipaddress.ip_interface(address).ip.packed[-4:].hex(":")


class Allocator:
    """The addresses of one subnet: who holds which, and which comes next.

    The lowest free address comes first, as with Docker; with `last`, the next free one after it, and the lowest only when
    the end is reached. `ip_range` narrows what is handed out unasked. `reserved` addresses, the gateway, and an IPv4
    subnet's first and last address are given to nobody. `used` may map addresses to their holders' names.
    """

    def __init__(
        self,
        subnet: str,
        gateway: str,
        ip_range: str = "",
        reserved: Iterable[str] = (),
        used: Iterable[str] | Mapping[str, str] = (),
        *,
        network: str = "",
        last: str = "",
    ) -> None:
        self._subnet = ipaddress.ip_network(subnet)
        self._range = ipaddress.ip_network(ip_range) if ip_range else self._subnet
        self._network = network or subnet
        self._next = int(ipaddress.ip_address(last.partition("/")[0])) + 1 if last else 0
        self._holders: dict[int, str] = {}
        for address, holder in _named(used).items():
            self._holders[int(ipaddress.ip_address(address.partition("/")[0]))] = holder
        self._kept = {int(ipaddress.ip_address(address)) for address in (*reserved, gateway) if address}
        if self._subnet.num_addresses > 2:
            self._kept.add(int(self._subnet.network_address))
            if self._subnet.version == 4:
                self._kept.add(int(self._subnet.broadcast_address))

    def allocate(self, preferred: str | None = None, holder: str = "") -> str:
        """An address for the holder, as CIDR text: the preferred one or the next that is free.

        Raises Invalid if the preferred one is not in the subnet, Forbidden if it is taken, Unavailable if all are.
        """
        number = self._check(preferred) if preferred else self._free()
        self._holders[number] = holder
        return f"{_address(number, self._subnet)}/{self._subnet.prefixlen}"

    def release(self, address: str) -> None:
        """Nobody holds it any longer."""
        self._holders.pop(int(ipaddress.ip_address(address.partition("/")[0])), None)

    def _check(self, preferred: str) -> int:
        try:
            address = ipaddress.ip_address(preferred.partition("/")[0])
        except ValueError as error:
            raise Invalid(f"invalid IP address: {preferred}") from error
        if address not in self._subnet:
            raise Invalid(f"no configured subnet contains IP address {address}")
        number = int(address)
        if number in self._holders or number in self._kept:
            holder = self._holders.get(number, "") or "the network itself"
            raise Forbidden(f"Address already in use: {address} of network {self._network} is held by {holder}")
        return number

    def _free(self) -> int:
        low, high = int(self._range.network_address), int(self._range.broadcast_address)
        middle = min(max(self._next, low), high + 1)
        for start, stop in ((middle, high), (low, middle - 1)):
            for number in range(start, stop + 1):
                if number not in self._holders and number not in self._kept:
                    return number
        kind = f"IPv{self._subnet.version}"
        holders = {str(_address(number, self._subnet)): name for number, name in sorted(self._holders.items())}
        text = f"no available {kind} addresses on this network's address pools: {self._network}"
        raise Unavailable(text + _shown(holders))


def _named(used: Iterable[str] | Mapping[str, str]) -> Mapping[str, str]:
    return used if isinstance(used, Mapping) else dict.fromkeys(used, "")


def _shown(holders: Mapping[str, str]) -> str:
    names = [f"{name} has {what}" for what, name in holders.items() if name]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" ({', '.join(names[:_SHOWN])}{more})" if names else ""


def _span(prefix: Prefix) -> tuple[int, int]:
    return int(prefix.network_address), int(prefix.broadcast_address)


def _address(number: int, prefix: Prefix) -> Address:
    return IPv4Address(number) if prefix.version == 4 else IPv6Address(number)


def _prefix(what: str, text: str) -> tuple[Prefix | None, list[str]]:
    try:
        prefix = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None, [f"invalid {what} {text}: invalid CIDR block notation"]
    if "/" not in text:
        return None, [f"invalid {what} {text}: invalid CIDR block notation"]
    if str(ipaddress.ip_interface(text).ip) != str(prefix.network_address):
        return prefix, [f"invalid {what} {text}: it should be {prefix}"]
    return prefix, []


def _range_faults(text: str, subnet: Prefix) -> list[str]:
    inner, faults = _prefix("ip-range", text)
    if inner is None:
        return faults
    if inner.version != subnet.version:
        return [f"invalid ip-range {text}: parent subnet is an IPv{subnet.version} block"]
    if inner.prefixlen < subnet.prefixlen:
        faults.append(f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}")
    if inner.network_address not in subnet and subnet.network_address not in inner:
        faults.append(f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range")
    return faults


def _address_faults(what: str, text: str, subnet: Prefix) -> list[str]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return [f"invalid {what} {text}: invalid address"]
    if address.version != subnet.version:
        return [f"invalid {what} {text}: parent subnet is an IPv{subnet.version} block"]
    if address not in subnet:
        return [f"invalid {what} {text}: parent subnet {subnet} doesn't contain this address"]
    return []
