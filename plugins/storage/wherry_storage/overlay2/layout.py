"""Where overlay2 keeps what, under the driver's root.

    active/KEY/        a snapshot being written: diff (the layer), work (overlayfs' own), parent (a link, unless first)
    committed/NAME/    a finished one: diff, parent
    l/ID               a link to a committed diff: short, so that many layers fit into the options of one mount
    empty/             the layer below a snapshot without parent
    new/KEY/           being made, or being removed: what is here has no meaning and goes away

A snapshot appears and disappears by one rename, so whoever is killed leaves nothing half-made under `active` or
`committed`.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b32encode
from collections.abc import Iterator
from pathlib import Path

from wherry.linux.files import clear_directory, remove_tree, sync_directory


class Layout:
    """The paths, and the changes that overlay2 makes to them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.active, self.committed = root / "active", root / "committed"
        self.links, self.empty, self.new = root / "l", root / "empty", root / "new"

    def set_up(self) -> None:
        """Make the folders that are missing and remove what a killed call left."""
        for folder in (self.root, self.active, self.committed, self.links, self.empty):
            folder.mkdir(mode=0o700, exist_ok=True)
        clear_directory(self.new, 0o700)
        self.empty.chmod(0o755)
        self._repair_links()

    def _repair_links(self) -> None:
        """Give every committed layer its link, and nothing else: a loss of power may keep one without the other."""
        wanted = {self.link(at.name): f"../committed/{at.name}/diff" for at in self.committed.iterdir()}
        found = set(self.links.iterdir())
        for link in found - wanted.keys():
            link.unlink()
        for link in wanted.keys() - found:
            link.symlink_to(wanted[link])

    def add(self, key: str, parent: str | None, mode: int, owner: tuple[int, int]) -> None:
        """Make the active snapshot; its top folder, which becomes the container's, gets this mode and owner."""
        new = self.new / key
        try:
            new.mkdir(0o700)
        except FileExistsError:  # left by a call that failed
            remove_tree(new)
            new.mkdir(0o700)
        diff = new / "diff"
        diff.mkdir()
        os.chown(diff, *owner)
        diff.chmod(mode)
        (new / "work").mkdir(0o700)
        if parent is not None:
            (new / "parent").symlink_to(f"../../committed/{parent}")
        new.rename(self.active / key)

    def commit(self, key: str, name: str) -> None:
        """Turn the active snapshot into a committed one."""
        remove_tree(self.active / key / "work")
        link = self.link(name)
        link.unlink(missing_ok=True)
        link.symlink_to(f"../committed/{name}/diff")
        (self.active / key).rename(self.committed / name)
        sync_directory(self.committed)  # and, as a rename is one change, of `active`

    def remove(self, key: str) -> None:
        """Remove what there is of this name."""
        trash = self.new / key
        remove_tree(trash)  # what an earlier call could not finish
        for folder in (self.active, self.committed):
            try:
                (folder / key).rename(trash)
            except FileNotFoundError:
                continue
            if folder is self.committed:
                self.link(key).unlink(missing_ok=True)
            sync_directory(folder)
            remove_tree(trash)

    def parent(self, snapshot: Path) -> str | None:
        """The name of a snapshot's parent."""
        try:
            return os.path.basename(os.readlink(snapshot / "parent"))
        except FileNotFoundError:
            return None

    def link(self, name: str) -> Path:
        """The short name of a committed layer. It follows from the name: 80 bits, so that no two meet."""
        return self.links / b32encode(hashlib.sha256(name.encode()).digest()[:10]).decode()

    def snapshots(self) -> Iterator[tuple[Path, bool]]:
        """All snapshots' folders, with whether they are committed."""
        for folder in (self.committed, self.active):
            for entry in sorted(folder.iterdir()):
                yield entry, folder is self.committed
