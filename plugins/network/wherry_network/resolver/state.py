"""The state files: one for each sandbox, written by the engine's side, read by the process. A folder of them is the whole.

Stdlib only: the process that reads them is a small one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

SOCKET = "control.sock"
GOING = ".gone"  # ending of a file whose sandbox the process may still have to let go of
_ENDING = ".json"


class Place(NamedTuple):
    """A container's place in a network."""

    network_id: str
    network: str
    address: str
    names: Sequence[str]
    links: Mapping[str, str]


class Entry(NamedTuple):
    """A sandbox, as wherry.model.sandboxes has it, and the port at which it is answered."""

    netns: str
    port: int
    places: Sequence[Place]
    servers: Sequence[tuple[str, bool]]  # address, whether it is asked from the host's namespace
    keeps_short_names: bool


def path(folder: str, id: str) -> str:
    """The file of a sandbox."""
    return f"{folder}/{id}{_ENDING}"


def dump(entry: Entry) -> bytes:
    """As a file's content."""
    places = [place._asdict() for place in entry.places]
    return json.dumps(entry._replace(places=())._asdict() | {"places": places}).encode()


def load(folder: str, id: str) -> Entry:
    """The entry of a sandbox. Raises FileNotFoundError."""
    with open(path(folder, id)) as file:
        fields: dict[str, Any] = json.load(file)
    places = [Place(**place) for place in fields.pop("places")]
    servers = [(address, from_host) for address, from_host in fields.pop("servers")]
    return Entry(places=places, servers=servers, **fields)


def ids(folder: str, ending: str = _ENDING) -> Iterator[str]:
    """The sandboxes that have a file."""
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder)):
            if name.endswith(ending) and not name.startswith("."):
                yield name.removesuffix(ending)
