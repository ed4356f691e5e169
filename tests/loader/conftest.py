"""A site folder into which tests install small distributions with entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

HEAD = "from wherry.spec.storage import *\n\nclass Driver(StorageDriver):\n    '''A driver of a test.'''\n"
HOOKS = {
    "prepare": "prepare(self, key, parent, writable, quota)",
    "commit": "commit(self, key, name)",
    "remove": "remove(self, key)",
    "list_snapshots": "list_snapshots(self)",
}


def hook(signature: str) -> str:
    """One hook that does nothing."""
    return f"    @hookimpl\n    def {signature}: return None\n"


def driver(*, replaced: Mapping[str, str] | None = None, extra: str = "") -> str:
    """The source of a storage driver; `replaced` maps a hook to other source for it ("" leaves it out)."""
    bodies = {name: hook(signature) for name, signature in HOOKS.items()} | dict(replaced or {})
    return HEAD + "".join(bodies.values()) + extra


class Site:
    """A folder on sys.path; what is installed there is gone after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, distribution: str, points: Mapping[str, str], group: str = "wherry.storage.v1", **modules: str
    ) -> None:
        """Install a distribution whose entry points are `points` (name: module:attribute) and whose modules are sources."""
        for module, source in modules.items():
            (self.folder / f"{module}.py").write_text(source)
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    before = set(sys.modules)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(folder) in str(sys.modules[name].__file__):
            del sys.modules[name]
