"""Published ports: what `-p`, `-P` and EXPOSE ask for, and the host ports that answer it."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import cast

from wherry.errors import Conflict, Failed, Invalid
from wherry.model.configs import Config, HostConfig, PortBinding
from wherry.model.networks import PortMapping, Protocol

PROTOCOLS = ("tcp", "udp", "sctp")
ANYWHERE = "0.0.0.0"
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
Reserve = Callable[[Sequence[PortMapping]], Awaitable[None]]


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
                IPv4Address(binding.host_ip)
        except Invalid as error:
            faults.append(error.text)
        except AddressValueError:
            faults.append(f"invalid host address {binding.host_ip!r}: ports are published on IPv4 addresses only")
    return list(dict.fromkeys(faults))


def wanted(config: Config, host: HostConfig, address: str = ANYWHERE) -> list[tuple[PortMapping, int]]:
    """Each requested port with the last host port that will do; host port 0 lets the engine choose.

    `address` is for ports that are published without one.
    """
    bindings = {port: list(found) for port, found in host.port_bindings.items()}
    if host.publish_all_ports:
        for port in config.exposed_ports:
            bindings.setdefault(port, [])
    result = []
    for port, found in bindings.items():
        number, protocol = parse_port(port)
        for binding in found or [PortBinding()]:
            first, last = parse_range(binding.host_port or "0")
            result.append((PortMapping(protocol, binding.host_ip or address, first, number), last))
    return sorted(result, key=lambda item: (item[0].host_port == 0, item[0].container_port, item[0].protocol))


class PortChooser:
    """Reserves host ports; what the engine may choose comes in turn from the kernel's ephemeral range."""

    def __init__(self) -> None:
        first, last = map(int, EPHEMERAL.read_text().split())
        self._choices = range(first, last + 1)
        self._next = 0
        self._last: dict[tuple[str, str, int, int], int] = {}  # where a range's search goes on

    async def reserve(self, requests: Sequence[tuple[PortMapping, int]], reserve: Reserve) -> tuple[PortMapping, ...]:
        """Reserve a host port for every request. Raises `Conflict` with the text clients know; the caller releases."""
        fixed = [mapping for mapping, last in requests if mapping.host_port and mapping.host_port == last]
        if fixed:
            await reserve(fixed)
        chosen = list(fixed)
        for mapping, last in requests:
            if mapping.host_port and mapping.host_port == last:
                continue
            chosen.append(await self._search(mapping, last, reserve))
        return tuple(chosen)

    async def _search(self, mapping: PortMapping, last: int, reserve: Reserve) -> PortMapping:
        for port in self._candidates(mapping, last):
            candidate = PortMapping(mapping.protocol, mapping.host_address, port, mapping.container_port)
            try:
                await reserve((candidate,))
            except Conflict:
                continue
            if mapping.host_port:
                self._last[mapping.protocol, mapping.host_address, mapping.host_port, last] = port
            return candidate
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
