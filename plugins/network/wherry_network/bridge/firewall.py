"""The engine's tables kept as desired: by deltas, and as a whole when a delta does not fit what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from threading import Lock

from wherry.errors import Conflict, Failed
from wherry_network._nft import Nft, NftError
from wherry_network.bridge import ipv6, rules
from wherry_network.bridge.rules import Elements, Place


class Firewall:
    """What should be in the tables, by owner (the id of a network or an endpoint), and the tables: one a family, of one name.

    Until `replace` has said what all owners should have, tables that an earlier engine left are not touched: its ports go
    on leading to their containers, and what `put` was told meanwhile comes with `replace`.
    """

    def __init__(self, nft: Nft, instance: str) -> None:
        self.table = rules.table_name(instance)
        self._nft = nft
        self._families = rules.FAMILIES if ipv6.is_there() else rules.FAMILIES[:1]
        self._lock = Lock()
        self._wanted: dict[str, Elements] = {}
        self._owners: dict[Place, str] = {}
        self._sizes: Counter[str] = Counter()  # elements, by family
        self._complete = False

    def put(self, owner: str, elements: Elements) -> Elements:
        """Make these the owner's elements, no elements being none, and return those it had.

        Raises Conflict if one is another owner's, Failed if the kernel refuses; then all is as it was.
        """
        with self._lock:
            self._check(owner, elements)
            tables, old = self._tables(), self._wanted.get(owner, {})
            self._keep(owner, elements)
            try:
                if self._is_ours():
                    self._move(rules.delta(self.table, old, elements), whole=tables != self._tables())
            except (Failed, OSError):
                self._keep(owner, old)
                raise
            return old

    def replace(self, wanted: Mapping[str, Elements]) -> None:
        """Make the tables anew, in one transaction: no packet finds one missing or half there.

        Raises Conflict if two owners want the same, Failed if the kernel refuses; then all is as it was.
        """
        with self._lock:
            before = self._wanted, self._owners, self._sizes
            self._wanted, self._owners, self._sizes = {}, {}, Counter()
            try:
                for owner, elements in wanted.items():
                    self._check(owner, elements)
                    self._keep(owner, elements)
                self._render()
            except (Conflict, Failed, OSError):
                self._wanted, self._owners, self._sizes = before
                raise
            self._complete = True

    def differences(self, wanted: Mapping[str, Elements]) -> list[str]:
        """What the tables have or lack beside what these owners want. Raises Failed.

        The kernel tells what they want in its own words: of second tables, which are dormant, so that they judge no packet.
        """
        with self._lock:
            try:
                return [line for family in self._families for line in self._differences(family, wanted)]
            except NftError as error:
                raise Failed(f"the firewall table {self.table} cannot be compared: {error}") from error

    def _differences(self, family: str, wanted: Mapping[str, Elements]) -> list[str]:
        twin, name = f"{self.table}_check", f"{family} {self.table}"
        self._nft.change(rules.whole(twin, family, wanted.values(), dormant=True))
        try:
            wanted_lines = self._nft.contents(family, twin)
        finally:
            self._nft.change(rules.whole(twin, family, ()))
        found = self._nft.contents(family, self.table)
        extra = [f"{line} is in table {name} and should not be" for line in sorted(found - wanted_lines)]
        return extra + [f"{line} is missing in table {name}" for line in sorted(wanted_lines - found)]

    def restore(self) -> None:
        """Make the tables anew as they should be: someone else changed or deleted one."""
        with self._lock:
            if self._complete:
                self._render()

    def _check(self, owner: str, elements: Elements) -> None:
        for place in elements:
            holder = self._owners.get(place, owner)
            if holder != owner:
                raise Conflict(f"{rules.describe(place)} belongs to {holder} already")

    def _keep(self, owner: str, elements: Elements) -> None:
        for place in self._wanted.pop(owner, {}):
            del self._owners[place]
            self._sizes[place[0]] -= 1
        self._sizes.update(place[0] for place in elements)
        if elements:
            self._wanted[owner] = elements
            self._owners.update(dict.fromkeys(elements, owner))

    def _tables(self) -> list[str]:
        """The families that have a table: those with elements."""
        return [family for family in self._families if self._sizes[family]]

    def _is_ours(self) -> bool:
        if not self._complete:
            try:
                self._complete = not {(family, self.table) for family in self._families} & set(self._nft.tables())
            except NftError as error:
                raise Failed(f"the firewall's tables cannot be listed: {error}") from error
        return self._complete

    def _move(self, commands: str, *, whole: bool) -> None:
        """Apply a delta, or everything: the first elements of a family need a table, and the last take it with them."""
        if not commands:
            return
        if not whole:
            try:
                self._nft.change(commands)
                return
            except NftError:
                pass  # someone else changed or flushed the table; what it should hold is known, so it is made again
        self._render()

    def _render(self) -> None:
        try:
            whole = (rules.whole(self.table, family, self._wanted.values()) for family in self._families)
            self._nft.change("".join(whole))
        except NftError as error:
            raise Failed(f"the firewall table {self.table} cannot be set: {error}") from error
