"""Other people's firewalls: which of their chains drop our forwarded packets, and our marked accepts in them.

Every base chain of the forward hook decides for itself, and a drop of one is final, whatever ours accepts. So what ufw,
firewalld or dockerd drop can only be mended where they drop it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from wherry.errors import Failed, Unavailable
from wherry_network._nft import Chain, Nft, NftError
from wherry_network.bridge import legacy
from wherry_network.bridge.forwarding import Drop, Packet, dropped, interfaces

_OURS = "wherry_"  # how tables of engines begin
_USERS_CHAIN = "DOCKER-USER"  # where dockerd leaves rules alone, and which it asks first
_USUAL = "wbr"  # how bridges begin that nobody gave another name
_SIX = ("ip6", legacy.FAMILY6)  # families that judge IPv6 alone
Drops = Sequence[tuple[Packet, Drop]]
Bridges = Mapping[str, Collection[str]]
"""The names of an engine's bridges, all for "ip", and for "ip6" those that speak IPv6."""


class Foreign:
    """The forward chains of others, as far as they concern one engine's bridges."""

    def __init__(self, nft: Nft, instance: str, *, integrate: bool) -> None:
        self._nft, self._mark, self._integrate = nft, f"wherry-{instance}", integrate

    def check(self, bridges: Bridges) -> tuple[str, ...]:
        """What keeps packets of these bridges from being forwarded, a sentence each, and what to do about it.

        Where this engine is to integrate, it first inserts what lets them through and takes out what it no longer needs.
        """
        try:
            if self._integrate:
                self._remove_except(bridges)
                for entrance, drops in self._drops(bridges):
                    self._accept(entrance, [packet for packet, _ in drops])
            return tuple(_sentence(entrance, drops) for entrance, drops in self._drops(bridges))
        except NftError as error:
            raise Failed(f"the firewall's chains cannot be read: {error}") from error

    def check_legacy(self, bridges: Bridges) -> tuple[str, ...]:
        """The same of iptables' legacy tables, in which this engine inserts nothing."""
        try:
            found = [legacy.chains(family) for family in (legacy.FAMILY, legacy.FAMILY6)]
        except Unavailable as error:
            return (f"whether iptables' legacy tables drop forwarded packets is not known: {error.text}",)
        tables = ({chain.name: chain for chain in chains} for chains in found)
        return tuple(_sentence(*drops) for chains in tables for drops in _drops_in(chains, bridges))

    def leave(self, bridges: Bridges) -> None:
        """Take out our accepts but those for these bridges."""
        if self._integrate:
            try:
                self._remove_except(bridges)
            except NftError as error:
                raise Failed(
                    f"the rules that this engine added to other firewalls cannot be removed: {error}"
                ) from error

    def _drops(self, bridges: Bridges) -> Iterator[tuple[Chain, Drops]]:
        """Where an accept belongs, with the packets that are dropped without one."""
        tables = {
            (chain.family, chain.table)
            for chain in self._nft.base_chains()
            if _forwards(chain) and not chain.table.startswith(_OURS)
        }
        for family, table in sorted(tables):
            yield from _drops_in({chain.name: chain for chain in self._nft.table(family, table)}, bridges)

    def _accept(self, entrance: Chain, packets: Sequence[Packet]) -> None:
        """Plain rules of one match each: iptables refuses to list a table in which it does not know an expression."""
        matches = (f'iifname "{p.iifname}"' if p.iifname else f'oifname "{p.oifname}"' for p in packets)
        self._nft.change(
            "".join(
                f'insert rule {entrance.place} {match} counter accept comment "{self._mark}"\n' for match in matches
            )
        )

    def _remove_except(self, bridges: Bridges) -> None:
        """Take out our marked rules but those of these bridges."""
        doomed = []
        for family, table in self._nft.tables():
            if family not in ("ip", "ip6", "inet") or table.startswith(_OURS):
                continue
            for chain in self._nft.table(family, table):
                doomed += [
                    f"delete rule {chain.place} handle {rule.handle}\n"
                    for rule in chain.rules
                    if rule.comment == self._mark and not interfaces(rule) & set(_concerned(bridges, family))
                ]
        if doomed:
            self._nft.change("".join(doomed))


def _concerned(bridges: Bridges, family: str) -> Collection[str]:
    """The bridges whose packets a table of this family judges."""
    return bridges.get("ip6" if family in _SIX else "ip", ())


def _drops_in(chains: Mapping[str, Chain], bridges: Bridges) -> Iterator[tuple[Chain, Drops]]:
    for base in filter(_forwards, chains.values()):
        names = sorted(_concerned(bridges, base.family))
        packets = [packet for name in names for packet in (Packet(name, ""), Packet("", name))]
        drops = [(packet, drop) for packet in packets if (drop := dropped(chains, base, packet))]
        if drops:
            yield _entrance(chains, base), drops


def _entrance(chains: Mapping[str, Chain], base: Chain) -> Chain:
    """Where an accept belongs: the chain for users' own rules if it is asked, else the base chain."""
    asked = any(
        expression.get("jump") == {"target": _USERS_CHAIN} for rule in base.rules for expression in rule.expressions
    )
    return chains[_USERS_CHAIN] if asked and _USERS_CHAIN in chains else base


def _sentence(entrance: Chain, drops: Drops) -> str:
    names = list(dict.fromkeys(packet.iifname or packet.oifname for packet, _ in drops))
    pattern = _USUAL if all(name.startswith(_USUAL) for name in names) else names[0]
    if entrance.family in (legacy.FAMILY, legacy.FAMILY6):
        rules = [f"{entrance.family} -I {entrance.name} {flag} {pattern}+ -j ACCEPT" for flag in ("-i", "-o")]
        mend = "run "
    else:
        rules = [
            f"nft 'insert rule {entrance.place} {key} \"{pattern}*\" counter accept'" for key in ("iifname", "oifname")
        ]
        mend = 'set "firewall-integration": true, or run '
    _, drop = drops[0]
    kind = "IPv6 packets" if entrance.family in _SIX else "packets"
    return (
        f"the firewall chain {drop.chain.place} ({drop.reason}) drops forwarded {kind} of {', '.join(names)}: "
        f"containers there cannot reach other hosts, nor be reached by published ports; {mend}{' and '.join(rules)}"
    )


def _forwards(chain: Chain) -> bool:
    return (
        chain.family in ("ip", "ip6", "inet", legacy.FAMILY, legacy.FAMILY6)
        and chain.kind == "filter"
        and chain.hook == "forward"
    )
