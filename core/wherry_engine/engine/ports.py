"""Published ports: what `-p`, `-P` and EXPOSE ask for, and the host ports that answer it."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import attrs

from wherry.errors import Conflict, Failed, Invalid
from wherry.model.configs import Config, HostConfig, PortBinding
from wherry.model.networks import PortMapping, Protocol

PROTOCOLS = ("tcp", "udp", "sctp")
ANYWHERE, ANYWHERE6 = "0.0.0.0", "::"
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
Reserve = Callable[[Sequence[PortMapping]], Awaitable[None]]
Request = tuple[tuple[PortMapping, ...], int]
"""Mappings that are to have one host port, on several addresses, and the last host port that will do."""


def parse_port(text: str) -> tuple[int, Protocol]:
    """`80/tcp` or `80`. Raises `Invalid`."""
    number, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if not number.isdecimal() or not 1 <= int(number) <= 65535:
        raise Invalid(f"invalid port {text!r}: a port is a number from 1 to 65535")
    if protocol not in PROTOCOLS:
        raise Invalid(f"invalid protocol in port {text!r}: use tcp, udp or sctp")
    return int(number), cast(Protocol, protocol)


def parse_range(text: str) -> tuple[int, int]:
    """`8080` or `8000-8010` as (first, last). Raises `Invalid`."""
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not (first.isdecimal() and last.isdecimal()) or not 0 <= int(first) <= int(last) <= 65535:
        raise Invalid(f"invalid host port {text!r}: write a number from 0 to 65535, or a range as 8000-8010")
    return int(first), int(last)


def check_bindings(config: Config, host: HostConfig) -> list[str]:
    """What is wrong with the requested ports."""
    faults = []
    for port in (*config.exposed_ports, *host.port_bindings):
        try:
            parse_port(port)
        except Invalid as error:
            faults.append(error.text)
    for binding in itertools.chain.from_iterable(host.port_bindings.values()):
        try:
            parse_range(binding.host_port or "0")
            if binding.host_ip:
                ip_address(binding.host_ip)
        except Invalid as error:
            faults.append(error.text)
        except ValueError:
            faults.append(f"invalid host address {binding.host_ip!r}: write an IP address")
    return list(dict.fromkeys(faults))


def wanted(config: Config, host: HostConfig, addresses: Sequence[str] = (ANYWHERE,)) -> list[Request]:
    """The requested ports; host port 0 lets the engine choose. `addresses` are for those that are published without one."""
    bindings = {port: list(found) for port, found in host.port_bindings.items()}
    if host.publish_all_ports:
        for port in config.exposed_ports:
            bindings.setdefault(port, [])
    result: list[Request] = []
    for port, found in bindings.items():
        number, protocol = parse_port(port)
        for binding in found or [PortBinding()]:
            first, last = parse_range(binding.host_port or "0")
            hosts = (str(ip_address(binding.host_ip)),) if binding.host_ip else addresses
            result.append((tuple(PortMapping(protocol, each, first, number) for each in hosts), last))
    return sorted((each for each in result if each[0]), key=_order)


def _order(request: Request) -> tuple[bool, int, str]:
    first = request[0][0]
    return first.host_port == 0, first.container_port, first.protocol


class PortChooser:
    """Reserves host ports; what the engine may choose comes in turn from the kernel's ephemeral range."""

    def __init__(self) -> None:
        first, last = map(int, EPHEMERAL.read_text().split())
        self._choices = range(first, last + 1)
        self._next = 0
        self._last: dict[tuple[str, str, int, int], int] = {}  # where a range's search goes on

    async def reserve(self, requests: Sequence[Request], reserve: Reserve) -> tuple[PortMapping, ...]:
        """Reserve a host port for every request. Raises `Conflict` with the text clients know; the caller releases."""
        fixed = [mapping for mappings, last in requests if _is_fixed(mappings, last) for mapping in mappings]
        if fixed:
            await reserve(fixed)
        chosen = list(fixed)
        for mappings, last in requests:
            if not _is_fixed(mappings, last):
                chosen += await self._search(mappings, last, reserve)
        return tuple(chosen)

    async def _search(self, mappings: tuple[PortMapping, ...], last: int, reserve: Reserve) -> tuple[PortMapping, ...]:
        mapping = mappings[0]
        for port in self._candidates(mapping, last):
            candidates = tuple(attrs.evolve(each, host_port=port) for each in mappings)
            try:
                await reserve(candidates)
            except Conflict:
                continue
            if mapping.host_port:
                self._last[mapping.protocol, mapping.host_address, mapping.host_port, last] = port
            return candidates
        asked = f"{mapping.host_port}-{last}" if mapping.host_port else "the ephemeral range"
        raise Failed(f"all ports of {asked} on {mapping.host_address} are allocated")

    def _candidates(self, mapping: PortMapping, last: int) -> Sequence[int]:
        if not mapping.host_port:
            start, self._next = self._next, (self._next + 1) % len(self._choices)
            return [self._choices[(start + n) % len(self._choices)] for n in range(len(self._choices))]
        choices = range(mapping.host_port, last + 1)
        after = self._last.get((mapping.protocol, mapping.host_address, mapping.host_port, last), last) + 1
        start = after - mapping.host_port
        return [choices[(start + n) % len(choices)] for n in range(len(choices))]


def _is_fixed(mappings: Sequence[PortMapping], last: int) -> bool:
    return mappings[0].host_port != 0 and mappings[0].host_port == last
