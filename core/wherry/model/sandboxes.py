"""Sandboxes as services see them: a container's network namespace, who is reached there by which names, and whom it asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs


@attrs.frozen
class NameServer:
    """A DNS server to ask, at port 53: from the sandbox, or, where only the host reaches it, from the host's namespace."""

    address: str
    from_host: bool = False


@attrs.frozen(kw_only=True)
class Place:
    """A container's place in a user-defined network: what the others there call it, and what it alone calls others.

    One that has an IPv4 and an IPv6 address there has two places.
    """

    network_id: str
    network: str  # name
    address: str  # without prefix length
    names: tuple[str, ...]
    links: Mapping[str, str] = attrs.field(factory=dict)  # alias: the name or id of who is meant


@attrs.frozen(kw_only=True)
class Sandbox:
    """The network namespace of a container that has its own."""

    container_id: str
    netns: Path
    places: tuple[Place, ...] = ()  # in the order of the container's interfaces; the predefined networks have no names
    servers: tuple[NameServer, ...] = ()  # none where nothing leads out
    keeps_short_names: bool = False  # asked for by a search that the container itself does (ndots above 0)


@attrs.frozen
class ServiceProcess:
    """A process that the engine keeps running beside the containers; it is started again whenever it ends.

    `function` is a `package.module:name` that imports only the standard library, wherry.linux and what it lies in. It is
    called with the arguments, in a process of its own that has one thread and dies with the supervisor, and serves until
    it is killed. Other arguments than before replace the process.
    """

    name: str
    function: str
    arguments: tuple[str, ...] = ()
