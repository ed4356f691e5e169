"""A storage driver that keeps every snapshot in memory: a complete example of a third party's driver.

A snapshot is a folder on one tmpfs, and begins as a copy of its parent: simple, quick for small images, and heavy for
large ones. All of it is gone when the engine ends with no container left, and when the host does; `wherry system check`
then names what has to be loaded again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import attrs

from wherry.linux.files import remove_tree
from wherry.linux.mounts import mount
from wherry.linux.tree_copy import copy_tree
from wherry.spec.storage import Context, Mount, NotFound, Snapshot, StorageDriver, hookimpl, option
from wherry.toolkit.units import size


@attrs.frozen
class Config:
    """What `drivers` in the configuration file can say under "storage/mem"."""

    size: int = option("size", size, default=1 << 30, help="how much memory all snapshots together may take")


class Driver(StorageDriver):
    """Images and containers in memory, as plain copies on a tmpfs."""

    CONFIG = Config

    def __init__(self, context: Context) -> None:
        # The engine made this folder, and makes the data root a mount that is shared: what is mounted in it reaches
        # every process that needs it. The same tmpfs, left by an engine that was killed, is left as it is.
        memory = context.root / "memory"
        memory.mkdir(exist_ok=True)
        mount("tmpfs", "wherry-mem", str(memory), (f"size={context.config.size}", "mode=700"))
        self._active, self._committed, self._unfinished = (memory / n for n in ("active", "committed", "unfinished"))
        for folder in (self._active, self._committed, self._unfinished):
            folder.mkdir(exist_ok=True)

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        """Copy the parent, unless an earlier call of the same key has done so: a copy is whole or not there."""
        if not (self._active / key).exists():
            remove_tree(self._unfinished / key)
            (self._unfinished / key).mkdir(mode=0o755)
            if parent is not None:
                _copy(self._find(parent), self._unfinished / key)
            (self._unfinished / key).rename(self._active / key)
        return [Mount("bind", str(self._active / key), ("rbind", "rw"))]

    @hookimpl
    def commit(self, key: str, name: str) -> None:
        """Rename it, which is atomic; the second of two calls finds it done."""
        if not (self._committed / name).exists():
            (self._active / key).rename(self._committed / name)

    @hookimpl
    def remove(self, key: str) -> None:
        """Wherever it is; nothing is fine too."""
        for folder in (self._active, self._committed, self._unfinished):
            remove_tree(folder / key)

    @hookimpl
    def list_snapshots(self) -> Sequence[Snapshot]:
        """All there is. A copy needs no parent any more, so none is named."""
        places = ((self._active, False), (self._committed, True))
        return [Snapshot(path.name, None, committed) for folder, committed in places for path in folder.iterdir()]

    def _find(self, key: str) -> Path:
        for folder in (self._committed, self._active):
            if (folder / key).exists():
                return folder / key
        raise NotFound(f"there is no snapshot {key} in memory: load its image again")


def _copy(source: Path, target: Path) -> None:
    """The whole tree with owners, modes, times, devices and extended attributes."""
    here, there = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target))
    try:
        copy_tree(here, there)
    finally:
        os.close(here)
        os.close(there)
