"""iptables' legacy tables, which nftables neither shows nor tells of: read as if their chains were nftables'."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wherry.linux import programs
from wherry_network._nft import Chain, Rule

FAMILY, FAMILY6 = "iptables-legacy", "ip6tables-legacy"  # as the programs are called
_NAMES = {FAMILY: "ip_tables_names", FAMILY6: "ip6_tables_names"}
_INTERFACES = {"-i": "iifname", "-o": "oifname"}
_VERDICTS = ("accept", "drop", "reject", "return")


def chains(family: str) -> list[Chain]:
    """The chains of a family's filter table with their rules; none where it is not in use, or nobody can read it.

    Raises `Unavailable` if the program that reads it fails.
    """
    try:
        in_use = "filter" in Path("/proc/thread-self/net", _NAMES[family]).read_text().split()
    except FileNotFoundError:
        return []
    program = programs.find(f"{family}-save") if in_use else None
    return parse(programs.output([program, "-t", "filter"]), family) if program else []


def parse(text: str, family: str = FAMILY) -> list[Chain]:
    """What iptables-save prints."""
    policies: dict[str, str] = {}
    rules: dict[str, list[Rule]] = {}
    for line in text.splitlines():
        if line.startswith(":"):
            name, policy, _ = line[1:].split()
            policies[name] = "" if policy == "-" else policy.lower()
        elif line.startswith("-A "):
            _, name, *words = shlex.split(line)
            rules.setdefault(name, []).append(_rule(words))
    return [
        Chain(
            family=family,
            table="filter",
            name=name,
            hook="forward" if name == "FORWARD" else "",
            kind="filter",
            policy=policy,
            rules=tuple(rules.get(name, ())),
        )
        for name, policy in policies.items()
    ]


def _rule(words: list[str]) -> Rule:
    expressions: list[Mapping[str, Any]] = []
    operator = "=="
    pairs = iter(words)
    for word in pairs:
        if word == "!":
            operator = "!="
            continue
        if word in _INTERFACES:
            expressions.append(_match(_INTERFACES[word], operator, next(pairs)))
        elif word == "-m":
            expressions.append({"xt": {"name": next(pairs)}})
        elif word in ("-j", "-g"):
            target = next(pairs)
            jump = {"goto" if word == "-g" else "jump": {"target": target}}
            expressions.append({target.lower(): None} if target.lower() in _VERDICTS else jump)
        elif word in ("-s", "-d", "-p", "-f"):
            expressions.append({"xt": {"name": word}})
        operator = "=="
    return Rule(handle=0, comment="", expressions=tuple(expressions))


def _match(key: str, operator: str, name: str) -> Mapping[str, Any]:
    pattern = name[:-1] + "*" if name.endswith("+") else name
    return {"match": {"op": operator, "left": {"meta": {"key": key}}, "right": pattern}}
