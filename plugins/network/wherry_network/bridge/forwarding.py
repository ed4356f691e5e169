"""What a ruleset does with a forwarded packet of ours: a small reading of nftables' chains.

It knows what decides in practice: interfaces, verdicts, jumps and policies. A match that it cannot judge (a state, a
mark, an address) counts as not met, so an accept that hangs on it is not relied on, and a drop is not suspected.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import attrs

from wherry_network._nft import Chain, Rule

_HARMLESS_MATCHES = ("comment",)
_DEPTH = 16  # nftables' own limit of nested jumps


@attrs.frozen
class Packet:
    """A packet on its way from one interface to another; "" is one that is not known."""

    iifname: str
    oifname: str


@attrs.frozen
class Drop:
    """Where a packet ends: in this chain, by a rule that says `reason` or by the policy."""

    chain: Chain
    reason: str


def dropped(chains: Mapping[str, Chain], base: Chain, packet: Packet) -> Drop | None:
    """Where the packet is dropped once it enters this base chain of the table; None if it passes."""
    verdict, drop = _walk(chains, base, packet, 0)
    if verdict == "drop":
        return drop
    return Drop(base, "policy drop") if verdict == "return" and base.policy == "drop" else None


def interfaces(rule: Rule) -> frozenset[str]:
    """The interfaces that the rule names."""
    found: set[str] = set()
    for expression in rule.expressions:
        if "match" in expression:
            found.update(_names(expression["match"]["right"]) or ())
    return frozenset(found)


def _walk(chains: Mapping[str, Chain], chain: Chain, packet: Packet, depth: int) -> tuple[str, Drop | None]:
    """("accept" | "drop" | "return", where it is dropped)."""
    for rule in chain.rules:
        word, target = _verdict(rule)
        if not word or not all(_met(expression, packet) for expression in rule.expressions):
            continue
        if word in ("jump", "goto"):
            if target not in chains or depth == _DEPTH:
                continue
            word, drop = _walk(chains, chains[target], packet, depth + 1)
            if word == "return" and "jump" in _words(rule):
                continue
            return word, drop
        return word if word in ("accept", "return") else "drop", Drop(chain, word)
    return "return", None


def _words(rule: Rule) -> set[str]:
    return {word for expression in rule.expressions for word in expression}


def _verdict(rule: Rule) -> tuple[str, str]:
    for expression in rule.expressions:
        for word in ("accept", "drop", "reject", "return"):
            if word in expression:
                return word, ""
        for word in ("jump", "goto"):
            if word in expression:
                return word, str(expression[word]["target"])
    return "", ""


def _met(expression: Mapping[str, Any], packet: Packet) -> bool:
    if "xt" in expression:
        return (expression["xt"] or {}).get("name") in _HARMLESS_MATCHES
    if "match" not in expression:
        return not {"vmap", "limit", "quota", "connlimit"} & set(expression)
    match = expression["match"]
    actual = ""
    if isinstance(match["left"], dict):
        key = str(match["left"].get("meta", {}).get("key"))
        actual = {"iifname": packet.iifname, "oifname": packet.oifname}.get(key, "")
    names = _names(match["right"])
    if not actual or names is None:
        return False
    return any(fnmatchcase(actual, name) for name in names) == (match["op"] in ("==", "in"))


def _names(right: Any) -> list[str] | None:
    if isinstance(right, str):
        return None if right.startswith("@") else [right]
    if isinstance(right, dict) and all(isinstance(name, str) for name in right.get("set", [0])):
        return list(right["set"])
    return None
