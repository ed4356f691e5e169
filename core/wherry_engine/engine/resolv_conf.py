"""What a container's resolver is told: /etc/resolv.conf, and the servers that ours asks for it. See resolv.conf(5)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from wherry.model.configs import HostConfig
from wherry.model.sandboxes import NameServer

RESOLVER = "127.0.0.11"  # where the resolver of user-defined networks is found, in each sandbox
FALLBACK = ("8.8.8.8", "8.8.4.4")  # what Docker falls back to where the host names only itself
HOST = Path("/etc/resolv.conf")
STUB = "127.0.0.53"  # systemd-resolved; the servers that it asks itself stand in the file below
BEHIND_STUB = Path("/run/systemd/resolve/resolv.conf")


@attrs.frozen
class ResolvConf:
    """The three things that the file says."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def text(self) -> str:
        """As a file."""
        lines = [f"nameserver {server}\n" for server in self.servers]
        lines += [f"search {' '.join(self.search)}\n"] if self.search else []
        lines += [f"options {' '.join(self.options)}\n"] if self.options else []
        return "".join(lines)


def parse(text: str) -> ResolvConf:
    """What a file says. The last search list counts, the options add up."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options += words[1:]
    return ResolvConf(tuple(servers), search, tuple(options))


def read(path: Path) -> ResolvConf:
    """What the file says; nothing if there is none."""
    try:
        return parse(path.read_text(errors="replace"))
    except FileNotFoundError:
        return ResolvConf()


def with_defaults(host: HostConfig, defaults: ResolvConf) -> HostConfig:
    """What was asked for, and where that says nothing what all containers are to have."""
    return attrs.evolve(
        host,
        dns=host.dns or defaults.servers,
        dns_search=host.dns_search or defaults.search,
        dns_options=host.dns_options or defaults.options,
    )


def asked(host: HostConfig, found: ResolvConf) -> ResolvConf:
    """The host's with what was asked for in place of it. A search domain of `.` means none."""
    return ResolvConf(
        host.dns or found.servers,
        tuple(domain for domain in host.dns_search or found.search if domain != "."),
        host.dns_options or found.options,
    )


def of_host(host: HostConfig) -> ResolvConf:
    """For a container in the host's network: as the host has it."""
    return asked(host, read(HOST))


def direct(host: HostConfig) -> ResolvConf:
    """For a container without names: servers that only the host can reach are left out."""
    found = read(HOST)
    if found.servers == (STUB,) and BEHIND_STUB.exists():
        found = read(BEHIND_STUB)
    wanted = asked(host, found)
    if host.dns:
        return wanted
    reachable = tuple(server for server in wanted.servers if _is_ipv4(server) and not _is_loopback(server))
    return attrs.evolve(wanted, servers=reachable or FALLBACK)


def by_resolver(host: HostConfig) -> ResolvConf:
    """For a container in a user-defined network: our resolver knows the names in it and asks the others' servers."""
    wanted = asked(host, read(HOST))
    short = () if _ndots(wanted) is not None else ("ndots:0",)
    return ResolvConf((RESOLVER,), wanted.search, (*wanted.options, *short))


def upstream(host: HostConfig) -> tuple[NameServer, ...]:
    """The servers that the resolver asks. A loopback address in the host's file means the host's own."""
    servers = asked(host, read(HOST)).servers
    return tuple(NameServer(server, not host.dns and _is_loopback(server)) for server in servers if is_address(server))


def keeps_short_names(host: HostConfig) -> bool:
    """Whether a name without a dot is for the search list alone, because the user wants dots in what is asked outside."""
    return (_ndots(ResolvConf(options=host.dns_options)) or 0) > 0


def _ndots(conf: ResolvConf) -> int | None:
    for option in conf.options:
        name, _, value = option.partition(":")
        if name == "ndots" and value.isdecimal():
            return int(value)
    return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_address(text: str) -> bool:
    """Whether this is an IP address."""
    return _address(text) is not None


def _is_ipv4(text: str) -> bool:
    return isinstance(_address(text), ipaddress.IPv4Address)


def _is_loopback(text: str) -> bool:
    address = _address(text)
    return address is not None and address.is_loopback


def faults(host: HostConfig) -> Iterator[str]:
    """What is wrong with what was asked for: each value must be one word, so that it cannot smuggle in a line."""
    yield from (f"bad nameserver address {server}: not an IP address" for server in host.dns if not is_address(server))
    yield from (f"{domain!r} is not a valid domain" for domain in _unfit(host.dns_search))
    yield from (f"{option!r} is not a valid resolver option" for option in _unfit(host.dns_options))


def _unfit(values: Sequence[str]) -> list[str]:
    return [value for value in values if not value or not value.isprintable() or len(value.split()) != 1]
