"""Ports of containers: exposed, bound and published, in the forms of lists and inspection."""

from __future__ import annotations

from typing import Any

from wherry.model.configs import HostConfig, PortBinding
from wherry.model.containers import Container

PROTOCOLS = ("tcp", "udp", "sctp")


def port_key(text: str) -> str | None:
    """`80` or `80/TCP` as `80/tcp`; None if it is no port."""
    port, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535) or protocol not in PROTOCOLS:
        return None
    return f"{int(port)}/{protocol}"


def is_host_port(text: str) -> bool:
    """Whether this may stand for a host's port: empty, a number, or a range."""
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first]
    if text == "":
        return True
    if not all(n.isascii() and n.isdecimal() and len(n) <= 5 and int(n) <= 65535 for n in numbers):
        return False
    return not dash or int(first) <= int(last)


def bindings_json(host: HostConfig) -> dict[str, list[dict[str, str]]]:
    """The bindings that were asked for."""
    return {key: [_binding(each) for each in each_port] for key, each_port in host.port_bindings.items()}


def _binding(binding: PortBinding) -> dict[str, str]:
    return {"HostIp": binding.host_ip, "HostPort": binding.host_port}


def _has_ports(container: Container) -> bool:
    """Whether its networks have ports of their own: the host's and no network have none."""
    return container.state.alive and any(name not in ("host", "none") for name in container.networks)


def published_json(container: Container) -> dict[str, list[dict[str, str]] | None]:
    """Every exposed port of a running container, with where it is published now; null for nowhere."""
    if not _has_ports(container):
        return {}
    found: dict[str, list[dict[str, str]] | None] = {key: None for key in container.config.exposed_ports}
    for mapping in container.ports:
        key = f"{mapping.container_port}/{mapping.protocol}"
        places = found.get(key) or []
        places.append({"HostIp": mapping.host_address, "HostPort": str(mapping.host_port)})
        found[key] = places
    return found


def ports_json(container: Container) -> list[dict[str, Any]]:
    """The same as the items of a list show it."""
    if not _has_ports(container):
        return []
    found: list[dict[str, Any]] = [
        {"IP": m.host_address, "PrivatePort": m.container_port, "PublicPort": m.host_port, "Type": m.protocol}
        for m in container.ports
    ]
    published = {(m.container_port, m.protocol) for m in container.ports}
    for key in container.config.exposed_ports:
        port, _, protocol = key.partition("/")
        if port.isdecimal() and (int(port), protocol) not in published:
            found.append({"PrivatePort": int(port), "Type": protocol})
    return found
