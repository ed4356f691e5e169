#!/usr/bin/env python3
"""Forbid side effects where no step can hold them: ctypes, netlink and new processes outside the modules made for them.

Prints one line per offence and fails if there is any. `wherry.linux` and its few companions announce what they do as audit
events (`wherry.linux.steps.effect`); a second door to the kernel would go unseen.
"""

from __future__ import annotations

import ast
import fnmatch
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("core", "plugins", "tui")


@dataclass(frozen=True)
class Rule:
    """What is forbidden, and the files (patterns) in which it is not."""

    what: str
    modules: frozenset[str]
    names: frozenset[str]
    allowed: tuple[str, ...]


LINUX = "core/wherry/linux/*"
TESTING = "core/wherry/testing/*"  # it looks at the host from outside, by commands
PROCESSES = ("core/wherry_engine/supervisor/*", "core/wherry_engine/monitor/*")
NFT = "plugins/network/wherry_network/_nft.py"
NETLINK = "plugins/network/wherry_network/_netlink.py"

SPAWNING = frozenset({"fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen", "execv", "execve", "execvp"})
SPAWNING |= frozenset({"spawnl", "spawnle", "spawnlp", "spawnv", "spawnve", "spawnvp"})

RULES = (
    Rule("ctypes", frozenset({"ctypes", "cffi"}), frozenset(), (LINUX, NFT)),
    Rule("netlink", frozenset({"pyroute2"}), frozenset({"socket.AF_NETLINK"}), (LINUX, NETLINK, NFT)),
    Rule("libnftables", frozenset({"nftables"}), frozenset(), (NFT,)),
    Rule(
        "a new process",
        frozenset({"subprocess", "multiprocessing", "pty"}),
        frozenset(f"os.{name}" for name in SPAWNING)
        | {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"},
        (LINUX, TESTING, *PROCESSES),
    ),
)


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(module or module.name, line) of whatever this file imports or takes from a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "import_module":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, node.lineno


def offences(source: str, path: str) -> list[str]:
    """One line per forbidden thing that `source`, which lies at `path` below the repository, uses."""
    found = {}
    for name, line in used(ast.parse(source, path)):
        for rule in RULES:
            forbidden = name in rule.names or name.split(".")[0] in rule.modules
            if forbidden and not any(fnmatch.fnmatch(path, pattern) for pattern in rule.allowed):
                found[line, rule.what] = (
                    f"{path}:{line}: {name}: {rule.what} is allowed only in {', '.join(rule.allowed)}"
                )
    return [found[key] for key in sorted(found)]


def main(roots: Sequence[str] = PRODUCT) -> int:
    """Check the product below these folders; 1 if there was an offence."""
    count = 0
    for root in roots:
        for path in sorted(Path(ROOT, root).rglob("*.py")):
            for line in offences(path.read_text(), str(path.relative_to(ROOT))):
                print(line)
                count += 1
    print(f"side effects: {count} offences" if count else "side effects: all behind their doors")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
