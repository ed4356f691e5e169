"""Who is called what in which network, and what one sandbox sees of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from wherry_network.resolver.state import Entry, Place

_ID = 64  # digits of a whole id; names have the first twelve


class Names:
    """The names of all sandboxes. DNS does not mind case."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._by_name: dict[tuple[str, str], list[bytes]] = {}  # network id, name
        self._by_address: dict[tuple[str, bytes], Place] = {}
        self._turn = 0

    def put(self, id: str, entry: Entry) -> None:
        """This sandbox has these places now."""
        self.drop(id)
        self._entries[id] = entry
        for place in entry.places:
            address = _packed(place.address)
            self._by_address[place.network_id, address] = place
            for name in _distinct(place):
                self._by_name.setdefault((place.network_id, name), []).append(address)

    def drop(self, id: str) -> None:
        """It has none any more."""
        entry = self._entries.pop(id, None)
        for place in entry.places if entry else ():
            address = _packed(place.address)
            if self._by_address.get((place.network_id, address)) is place:
                del self._by_address[place.network_id, address]
            for name in _distinct(place):
                addresses = self._by_name[place.network_id, name]
                addresses.remove(address)
                if not addresses:
                    del self._by_name[place.network_id, name]

    def addresses(self, viewer: Entry, name: str, size: int) -> list[bytes] | None:
        """The addresses, of so many bytes, of who is meant by `name` there: its own links first, then the networks in
        their order; None if nobody is.

        Each answer begins with another address, so that callers who take the first share the load.
        """
        for called, network in _readings(name):
            for place in viewer.places:
                if network in (None, place.network.lower()):
                    found = self._linked(place, called) or self._by_name.get((place.network_id, called))
                    if found:
                        return self._turned([address for address in found if len(address) == size])
        return None

    def _turned(self, found: list[bytes]) -> list[bytes]:
        self._turn += bool(found)
        at = self._turn % max(len(found), 1)
        return found[at:] + found[:at]

    def _linked(self, place: Place, name: str) -> list[bytes] | None:
        for alias, target in place.links.items():
            if alias.lower() == name:
                known = target[:12] if len(target) == _ID else target.lower()
                return self._by_name.get((place.network_id, known))
        return None

    def names(self, viewer: Entry, address: bytes) -> list[str]:
        """The full names of who has this address in one of the networks."""
        for place in viewer.places:
            found = self._by_address.get((place.network_id, address))
            if found:
                return [f"{name}.{found.network}" for name in found.names]
        return []


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _distinct(place: Place) -> set[str]:
    return {name.lower() for name in place.names}


def _readings(name: str) -> Iterator[tuple[str, str | None]]:
    """The whole as a name, then each of its beginnings as the name and the rest as the network."""
    yield name, None
    at = name.rfind(".")
    while at > 0:
        yield name[:at], name[at + 1 :]
        at = name.rfind(".", 0, at)
