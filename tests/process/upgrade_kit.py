"""Other code for a tree under test: a copy of the sources, of another version."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.process.process_kit import Tree

from wherry_engine.engine.process_upgrade import TreeCode, tree_code, upgrade

CORE = Path(sys.modules["wherry_engine"].__path__[0]).parent


def copied(folder: Path, mark: str) -> TreeCode:
    """A copy of our sources in a folder of their own, marked so that it is another version."""
    for package in ("wherry", "wherry_engine"):
        shutil.copytree(CORE / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    *interpreter, script = tree_code().program
    assert repr(str(CORE)) in script
    return TreeCode((*interpreter, script.replace(repr(str(CORE)), repr(str(folder)))), mark)


def change(folder: Path, module: str, old: str, new: str) -> None:
    """Replace a text of a module of the copy."""
    path = folder / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit(folder: Path, module: str, text: str) -> None:
    """Append this to a module of the copy."""
    with open(folder / module, "a") as file:
        file.write(f"\n{text}\n")


async def upgraded(tree: Tree, code: TreeCode, environment: Mapping[str, str] | None = None) -> None:
    """What a new engine does at its start."""
    await upgrade(tree.run_root, code, environment or tree.environment)


async def versions(tree: Tree) -> tuple[str, str]:
    """Of the supervisor and of the monitor."""
    supervisor, monitor = [await each.call("hello") for each in (tree.processes._supervisor, tree.processes._monitor)]
    return supervisor["code"], monitor["code"]
