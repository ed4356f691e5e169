"""The engine's table kept as desired: by deltas, and as a whole when a delta does not fit what is there."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from wherry.errors import Conflict, Failed
from wherry_network._nft import Nft, NftError
from wherry_network.bridge import rules
from wherry_network.bridge.rules import Elements


class Firewall:
    """What should be in the table, by owner (the id of a network or an endpoint), and the table.

    Until `replace` has said what all owners should have, a table that an earlier engine left is not touched: its ports go
    on leading to their containers, and what `put` was told meanwhile comes with `replace`.
    """

    def __init__(self, nft: Nft, instance: str) -> None:
        self.table = rules.table_name(instance)
        self._nft = nft
        self._lock = Lock()
        self._wanted: dict[str, Elements] = {}
        self._owners: dict[tuple[str, str], str] = {}
        self._complete = False

    def put(self, owner: str, elements: Elements) -> Elements:
        """Make these the owner's elements, no elements being none, and return those it had.

        Raises Conflict if one is another owner's, Failed if the kernel refuses; then all is as it was.
        """
        with self._lock:
            self._check(owner, elements)
            had_some, old = bool(self._wanted), self._wanted.get(owner, {})
            self._keep(owner, elements)
            try:
                if self._is_ours():
                    self._move(rules.delta(self.table, old, elements), whole=not (had_some and self._wanted))
            except (Failed, OSError):
                self._keep(owner, old)
                raise
            return old

    def replace(self, wanted: Mapping[str, Elements]) -> None:
        """Make the whole table anew, in one transaction: no packet finds it missing or half there.

        Raises Conflict if two owners want the same, Failed if the kernel refuses; then all is as it was.
        """
        with self._lock:
            before = self._wanted, self._owners
            self._wanted, self._owners = {}, {}
            try:
                for owner, elements in wanted.items():
                    self._check(owner, elements)
                    self._keep(owner, elements)
                self._render()
            except (Conflict, Failed, OSError):
                self._wanted, self._owners = before
                raise
            self._complete = True

    def differences(self, wanted: Mapping[str, Elements]) -> list[str]:
        """What the table has or lacks beside what these owners want. Raises Failed.

        The kernel tells what they want in its own words: of a second table, which is dormant, so that it judges no packet.
        """
        twin = f"{self.table}_check"
        with self._lock:
            try:
                self._nft.change(rules.whole(twin, wanted.values(), dormant=True))
                try:
                    wanted_lines = self._nft.contents("ip", twin)
                finally:
                    self._nft.change(rules.whole(twin, ()))
                found = self._nft.contents("ip", self.table)
            except NftError as error:
                raise Failed(f"the firewall table {self.table} cannot be compared: {error}") from error
        extra = [f"{line} is in table {self.table} and should not be" for line in sorted(found - wanted_lines)]
        return extra + [f"{line} is missing in table {self.table}" for line in sorted(wanted_lines - found)]

    def restore(self) -> None:
        """Make the whole table anew as it should be: someone else changed or deleted it."""
        with self._lock:
            if self._complete:
                self._render()

    def _check(self, owner: str, elements: Elements) -> None:
        for place in elements:
            holder = self._owners.get(place, owner)
            if holder != owner:
                raise Conflict(f"{rules.describe(*place)} belongs to {holder} already")

    def _keep(self, owner: str, elements: Elements) -> None:
        for place in self._wanted.pop(owner, {}):
            del self._owners[place]
        if elements:
            self._wanted[owner] = elements
            self._owners.update(dict.fromkeys(elements, owner))

    def _is_ours(self) -> bool:
        if not self._complete:
            try:
                self._complete = ("ip", self.table) not in self._nft.tables()
            except NftError as error:
                raise Failed(f"the firewall's tables cannot be listed: {error}") from error
        return self._complete

    def _move(self, commands: str, *, whole: bool) -> None:
        """Apply a delta, or everything: the first elements need a table, and the last take it with them."""
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
            self._nft.change(rules.whole(self.table, self._wanted.values()))
        except NftError as error:
            raise Failed(f"the firewall table {self.table} cannot be set: {error}") from error
