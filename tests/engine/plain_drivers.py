"""A storage driver that is no overlay and a volume driver that wants to know its last use: what no built-in driver is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wherry.spec.storage import Context, Mount, Snapshot, StorageDriver, hookimpl
from wherry.spec.volume import VolumeDriver

DISTRIBUTION = """[wherry.storage.v1]
plain = plain_drivers:Plain

[wherry.volume.v1]
noted = plain_drivers:Noted
"""


def install(site: Path) -> None:
    """Make `site`, once it is on the module path, a place where this file is an installed distribution."""
    shutil.copy(__file__, site / "plain_drivers.py")
    info = site / "wherry_plain-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wherry-plain\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(DISTRIBUTION)


class Plain(StorageDriver):
    """A snapshot is a copy."""

    def __init__(self, context: Context) -> None:
        self.active, self.committed = context.root / "active", context.root / "committed"
        for folder in (self.active, self.committed):
            folder.mkdir(exist_ok=True)

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        if not (self.active / key).exists():
            if parent:
                shutil.copytree(self.committed / parent, self.active / key, symlinks=True)
            else:
                (self.active / key).mkdir()
        return [Mount("bind", str(self.active / key), ("rbind", "rw"))]

    @hookimpl
    def commit(self, key: str, name: str) -> None:
        if not (self.committed / name).exists():
            (self.active / key).rename(self.committed / name)

    @hookimpl
    def remove(self, key: str) -> None:
        for folder in (self.active, self.committed):
            shutil.rmtree(folder / key, ignore_errors=True)

    @hookimpl
    def list_snapshots(self) -> Sequence[Snapshot]:
        found = [
            (at, at.parent == self.committed) for folder in (self.active, self.committed) for at in folder.iterdir()
        ]
        return [Snapshot(at.name, None, committed) for at, committed in found]


class Noted(VolumeDriver):
    """Every volume is a tmpfs; the last use of each is noted in a file."""

    def __init__(self, context: Context) -> None:
        self.notes = context.root / "detached"

    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        return None

    @hookimpl
    def remove(self, name: str) -> None:
        return None

    @hookimpl
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        return [Mount("tmpfs", "tmpfs")]

    @hookimpl
    def list_volumes(self) -> Sequence[str]:
        return ()

    @hookimpl
    def detach(self, name: str) -> None:
        with self.notes.open("a") as notes:
            notes.write(f"{name}\n")
