"""libnftables: transactions of nft commands, one at a time.

The library keeps its parser's state in a context that one thread at a time may use, and some tables beside it; a thread of
its own also keeps a context's socket in one network namespace, that of the thread which asked first. A transaction that
adds or removes elements costs 0.05 ms and does not depend on how many there are; a fresh context 0.2 ms.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import attrs

from wherry.linux.namespaces import in_netns
from wherry.linux.netlink import attributes
from wherry.linux.netlink_events import NETFILTER, NFTABLES_GROUP, Listener, own_ports
from wherry.linux.steps import effect

_one_at_a_time = Lock()  # several contexts of libnftables before 1.0.9 share what is not guarded
_ATTEMPTS = 3
_NEW_GENERATION = 10 << 8 | 15  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN: ends each transaction's notifications


class NftError(Exception):
    """The kernel or the parser refused a transaction, of which nothing was done. The text is libnftables' own."""


@attrs.frozen(kw_only=True)
class Rule:
    """One rule, as libnftables tells it in JSON."""

    handle: int
    comment: str
    expressions: tuple[Mapping[str, Any], ...]


@attrs.frozen(kw_only=True)
class Chain:
    """A chain with its rules. `hook` and `policy` are "" where it is not a base chain."""

    family: str
    table: str
    name: str
    hook: str
    kind: str
    policy: str
    rules: tuple[Rule, ...] = ()

    @property
    def place(self) -> str:
        """As nft commands name it: "ip filter FORWARD"."""
        return f"{self.family} {self.table} {self.name}"


class Nft:
    """Runs nft commands as the `nft -f` program would. Making one loads nothing; the library comes with the first use."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wherry-nft")
        self._library: Any = None

    def change(self, commands: str) -> None:
        """Carry these out, all or none. Raises NftError."""
        effect("nft", commands[:200])
        self._thread.submit(self._run, commands).result()

    def tables(self) -> list[tuple[str, str]]:
        """(family, name) of every table there is."""
        answer = self._thread.submit(self._run, "list tables").result()
        return [(words[1], words[2]) for words in map(str.split, answer.splitlines()) if words[:1] == ["table"]]

    def contents(self, family: str, table: str) -> set[str]:
        """A line for each chain, rule, set, map and element of a table, without its name; none if there is no table."""
        if (family, table) not in self.tables():
            return set()
        listed = self._listed(f"list table {family} {table}")
        return {line for item in listed for kind, body in item.items() for line in _lines(kind, body)}

    def base_chains(self) -> list[Chain]:
        """Every base chain there is, without its rules. Raises NftError."""
        return [chain for chain in self._chains("list chains") if chain.hook]

    def table(self, family: str, name: str) -> list[Chain]:
        """The chains of a table with their rules; none if there is no such table (any more). Raises NftError."""
        if (family, name) not in self.tables():
            return []
        return self._chains(f"list table {family} {name}")

    def _chains(self, command: str) -> list[Chain]:
        objects = self._listed(command)
        rules: dict[tuple[str, str, str], list[Rule]] = {}
        for rule in (each["rule"] for each in objects if "rule" in each):
            place = (rule["family"], rule["table"], rule["chain"])
            made = Rule(handle=rule["handle"], comment=rule.get("comment", ""), expressions=tuple(rule["expr"]))
            rules.setdefault(place, []).append(made)
        return [
            Chain(
                family=chain["family"],
                table=chain["table"],
                name=chain["name"],
                hook=chain.get("hook", ""),
                kind=chain.get("type", ""),
                policy=chain.get("policy", ""),
                rules=tuple(rules.get((chain["family"], chain["table"], chain["name"]), ())),
            )
            for chain in (each["chain"] for each in objects if "chain" in each)
        ]

    def _listed(self, command: str) -> list[dict[str, Any]]:
        """What a command lists. An answer that ends in its middle, as libnftables 1.0.6 has given, is asked for again."""
        for _ in range(_ATTEMPTS):
            answer = self._thread.submit(self._run, command, as_json=True).result()
            try:
                objects: list[dict[str, Any]] = json.loads(answer)["nftables"]
            except json.JSONDecodeError:
                continue
            return objects
        raise NftError(f"libnftables gives no whole answer to {command!r}; the last one ends with {answer[-80:]!r}")

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _run(self, commands: str, as_json: bool = False) -> str:
        with _one_at_a_time:
            if self._library is None:
                self._library = _library()
            self._library.set_json_output(as_json)
            return _command(self._library, commands)


def _lines(kind: str, body: dict[str, Any]) -> Iterator[str]:
    if kind in ("metainfo", "table"):
        return
    if kind == "rule":
        yield f"the rule {json.dumps(body['expr'])} of chain {body['chain']}"
        return
    yield f"the {kind} {body['name']}"
    for element in body.get("elem", ()):
        yield f"the element {_words(element)} of {body['name']}"


def _words(element: object) -> str:
    """An element as a person would write it: `tcp . 80 : 10.0.0.3 . 8080`."""
    if isinstance(element, list):
        return " : ".join(map(_words, element))
    if isinstance(element, dict):
        ((kind, value),) = element.items()
        if kind == "concat":
            return " . ".join(map(_words, value))
        if kind == "prefix":
            return f"{value['addr']}/{value['len']}"
        return str(kind) if value is None else f"{kind} {json.dumps(value)}"
    return str(element)


def change_inside(namespace: int, commands: str) -> None:
    """Carry these out in the network namespace behind the descriptor, all or none. Raises NftError."""
    effect("nft", commands[:200])
    with _one_at_a_time:
        in_netns(namespace, lambda: _command(_library(), commands))


def _library() -> Any:
    import nftables

    return nftables.Nftables()


def _command(library: Any, commands: str) -> str:
    code, output, error = library.cmd(commands)
    if code:
        raise NftError(error.strip() or f"libnftables: error {code}")
    return str(output)


class RulesetWatch:
    """Hears of changes of the ruleset that this process did not make."""

    def __init__(self) -> None:
        self._listener = Listener(NETFILTER, [NFTABLES_GROUP])
        self._own: frozenset[int] = frozenset()

    def fileno(self) -> int:
        """Readable when the ruleset changed, by whomever."""
        return self._listener.fileno()

    def changed_tables(self) -> frozenset[str] | None:
        """The names of the tables that others changed since the last call; None: it may have been any."""
        notices = self._listener.read()
        if notices is None:
            return None
        if any(notice.sender not in self._own for notice in notices):
            self._own = own_ports(NETFILTER)
        return frozenset(
            attributes(notice.body[4:]).get(1, b"").rstrip(b"\0").decode(errors="replace")  # NFTA_*_TABLE
            for notice in notices
            if notice.kind != _NEW_GENERATION and notice.sender not in self._own
        )

    def close(self) -> None:
        """Stop hearing; may be repeated."""
        self._listener.close()
