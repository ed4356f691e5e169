"""Hears what others do to the host's rules and to our links."""

from __future__ import annotations

import select
from collections.abc import Collection

import attrs

from wherry.linux.netlink import ROUTE, link_name
from wherry.linux.netlink_events import LINK_GROUP, Listener
from wherry_network._nft import RulesetWatch

_DELLINK = 17  # also told, in the bridge family, of a port that leaves its bridge


@attrs.frozen
class Heard:
    """What others have changed."""

    rules: bool  # any rules
    table: bool  # this engine's table
    links: bool  # a link of this engine


class Watch:
    """One descriptor for all; it is readable too after this engine's own changes, of which `heard` makes nothing."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._rules, self._links = RulesetWatch(), Listener(ROUTE, [LINK_GROUP])
        self._poll = select.epoll()
        for source in (self._rules, self._links):
            self._poll.register(source, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when there is something to hear."""
        return self._poll.fileno()

    def heard(self, links: Collection[str]) -> Heard:
        """What has changed since the last call; `links` are this engine's that should be there."""
        tables, notices = self._rules.changed_tables(), self._links.read()
        gone = notices is None or any(n.kind == _DELLINK and link_name(n.body) in links for n in notices)
        if tables is None:
            return Heard(rules=True, table=True, links=gone)
        return Heard(rules=bool(tables), table=self._table in tables, links=gone)

    def close(self) -> None:
        """Stop hearing."""
        for each in (self._poll, self._rules, self._links):
            each.close()
