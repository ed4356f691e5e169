"""The names of all steps that the product declares, read from its sources: what a sweep over all failpoints must reach.

A step's name is a literal: two or more words joined by dots, given first to one of the functions that open a step. That
keeps names greppable, and lets a sweep know of a step that no test has ever reached.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

# The engine and the small processes, and of the plugins those with a process of their own; no other opens one.
PACKAGES = ("wherry_engine", "wherry_api", "wherry_network")
# `step` itself, and what opens one around a function: Pool.run, Drivers.call, fork. They take the name as it is.
OPENERS = frozenset({"step", "run", "call", "fork"})
NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+")


def sources(packages: Sequence[str] = PACKAGES) -> list[Path]:
    """The Python files of these packages, without importing anything."""
    found: list[Path] = []
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(f"no package {package} is installed")
        for location in spec.submodule_search_locations:
            found.extend(sorted(Path(location).rglob("*.py")))
    return found


def openings(source: Path) -> Iterator[tuple[str, int]]:
    """(step name, line) of each step that this file opens."""
    for node in ast.walk(ast.parse(source.read_text(), str(source))):
        if isinstance(node, ast.Call) and _called(node.func) in OPENERS:
            for name in _literals(node):
                if NAME.fullmatch(name):
                    yield name, node.lineno


def composed(source: Path) -> Iterator[int]:
    """The lines that open a step by a name put together there, which nobody can find or arm."""
    for node in ast.walk(ast.parse(source.read_text(), str(source))):
        if isinstance(node, ast.Call) and _called(node.func) in OPENERS and node.args:
            name = node.args[0]
            if isinstance(name, ast.JoinedStr) or (isinstance(name, ast.BinOp) and _called(node.func) == "step"):
                yield node.lineno


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _literals(call: ast.Call) -> Iterator[str]:
    """The literals that the first argument, or the one called `step`, can be: one, or both branches of a conditional."""
    options = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "step")]
    while options:
        option = options.pop()
        if isinstance(option, ast.IfExp):
            options += [option.body, option.orelse]
        elif isinstance(option, ast.Constant) and isinstance(option.value, str):
            yield option.value


def places(packages: Sequence[str] = PACKAGES) -> dict[str, list[tuple[Path, int]]]:
    """{step name: where it is opened}."""
    found: dict[str, list[tuple[Path, int]]] = {}
    for source in sources(packages):
        for name, line in openings(source):
            found.setdefault(name, []).append((source, line))
    return found


def declared(packages: Sequence[str] = PACKAGES) -> set[str]:
    """Every step name that the product declares."""
    return set(places(packages))
