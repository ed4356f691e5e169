"""--link in the default network, where there are no names: lines in /etc/hosts and variables, as of the start.

In networks with names a link is one more name (sandbox_views).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from wherry.errors import Conflict, Invalid, NotFound
from wherry.model.containers import Container
from wherry_engine.engine.sandbox_views import link

DEFAULT = "bridge"
_NOT_TOLD = ("HOME", "PATH")  # they say nothing of what the other container offers


@attrs.frozen
class Linked:
    """Another container, as this one calls it."""

    alias: str
    other: Container


def pairs(container: Container) -> list[tuple[str, str]]:
    """(container, alias) of each link in the default network."""
    return [link(text) for text in container.host.links or ()] if container.host.network_mode == DEFAULT else []


def check(container: Container, find: Callable[[str], Container]) -> None:
    """Raises `Invalid` for a link to a container that does not exist or is elsewhere."""
    for name, _ in pairs(container):
        try:
            other = find(name)
        except NotFound as error:
            raise Invalid(f"could not get container for {name}: {error.text}") from error
        if DEFAULT not in other.networks:
            raise Invalid(f"Cannot link to /{other.name}, as it does not belong to the default network")


def linked(container: Container, find: Callable[[str], Container]) -> list[Linked]:
    """Those that it is linked to. Raises `Conflict` if one does not run."""
    found = []
    for name, alias in pairs(container):
        other = find(name)
        if not other.state.alive:
            raise Conflict(f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}")
        if DEFAULT not in other.networks:
            raise Conflict(f"Cannot link to /{other.name}, as it does not belong to the default network")
        found.append(Linked(alias, other))
    return found


def present(names: Iterable[str], alias: str, find: Callable[[str], Container]) -> Iterator[Linked]:
    """Those of these containers that are still in the default network, under the alias."""
    for name in names:
        try:
            other = find(name)
        except NotFound:
            continue
        if DEFAULT in other.networks:
            yield Linked(alias, other)


def host_line(each: Linked) -> tuple[str, str]:
    """(address, names) for /etc/hosts."""
    names = (each.alias, each.other.config.hostname, each.other.name)
    return _address(each.other), " ".join(dict.fromkeys(name for name in names if name))


def variables(container: Container, each: Linked) -> Iterator[str]:
    """What the other container exposes and was told, under the alias."""
    prefix, address = each.alias.upper().replace("-", "_"), _address(each.other)
    ports = sorted(_ports(each.other))
    for number, (port, protocol) in enumerate(ports):
        url = f"{protocol}://{address}:{port}"
        if not number:
            yield f"{prefix}_PORT={url}"
        name = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield from (f"{name}={url}", f"{name}_ADDR={address}", f"{name}_PORT={port}", f"{name}_PROTO={protocol}")
    yield f"{prefix}_NAME=/{container.name}/{each.alias}"
    for entry in each.other.config.env:
        name, equals, value = entry.partition("=")
        if equals and name not in _NOT_TOLD:
            yield f"{prefix}_ENV_{name}={value}"


def _ports(other: Container) -> Iterator[tuple[int, str]]:
    for text in other.config.exposed_ports:
        port, _, protocol = text.partition("/")
        yield int(port), protocol or "tcp"


def _address(other: Container) -> str:
    return other.networks[DEFAULT].address.partition("/")[0]
