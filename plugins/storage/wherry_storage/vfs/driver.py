"""The whole of a storage driver, for readers who are about to write one.

A storage driver keeps *snapshots*: trees of files, each under a key. One that is being written is *active*; one that is
finished is *committed*, never changes again, and may be the parent of others. That is all the engine wants of a driver:
an image is a chain of committed snapshots, a container is an active one on top of it.

How this driver does it: a snapshot is a folder.

    active/KEY/         being written
        tree            the files, which is what gets mounted; missing if this is only for looking at the parent
        parent          a link that names the parent; missing if there is none
    committed/NAME/     the same, finished
    new/KEY/            being made or being removed; whatever is here has no meaning

The one idea worth copying is the last folder. A process can be killed at any moment, also in the middle of a copy. So a
snapshot is made under `new` and appears by one rename, which is whole or did not happen, and is removed by being renamed
there first. What lies in `new` when the driver starts was left by somebody who was killed.

Three things hold for every hook (`wherry.spec.base` says them all):

- It may be called again with the same arguments. Preparing what is prepared gives the same answer, committing what is
  committed is fine, removing what is missing is fine: whoever recovers from a crash repeats the last call.
- Calls about one key never overlap, so there are no locks here.
- It raises an error of `wherry.errors` for what a caller can understand. An OSError says that the host failed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from wherry.linux.files import clear_directory, remove_tree, sync_directory, sync_filesystem, tree_usage
from wherry.linux.tree_changes import tree_changes
from wherry.linux.tree_copy import copy_tree
from wherry.spec.storage import (
    Change,
    Conflict,
    Context,
    Mount,
    NotFound,
    Snapshot,
    StorageDriver,
    Unsupported,
    Usage,
    hookimpl,
)


class Driver(StorageDriver):
    """Snapshots as folders; a child begins as a copy of its parent.

    The name in pyproject.toml's entry-point group `wherry.storage.v1` leads to this class. There are no options, so
    CONFIG stays as it is, and no FEATURES: this driver has neither quotas nor id-mapped mounts.
    """

    def __init__(self, context: Context) -> None:
        """`context.root` is ours, and nothing else: the folder exists, and keeps what we put there.

        A driver that this host cannot run raises `Unsupported` here. This one runs anywhere.
        """
        self._active = context.root / "active"
        self._committed = context.root / "committed"
        self._new = context.root / "new"
        for folder in (self._active, self._committed):
            folder.mkdir(mode=0o700, exist_ok=True)
        clear_directory(self._new, 0o700)

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        """Make the active snapshot if it is not there, and say how to mount it.

        We do not mount: the engine does, in the place and at the time it chooses. Ours is one bind mount of a folder.
        """
        if quota is not None:
            raise Unsupported("vfs has no quota: a snapshot is a folder of the file system that it lies on")
        if parent is not None and not (self._committed / parent).exists():
            raise NotFound(f"there is no committed snapshot {parent}")
        if (self._committed / key).exists():
            raise Conflict(f"snapshot {key} exists and is committed")
        folder = self._active / key
        if not folder.exists():
            self._make(key, parent, copied=writable or parent is None)
        elif _parent(folder) != parent:
            raise Conflict(f"snapshot {key} exists with another parent, {_parent(folder)}")
        tree = folder if (folder / "tree").exists() else self._committed / str(parent)
        return [Mount("bind", str(tree / "tree"), ("rbind", "rw" if writable else "ro"))]

    def _make(self, key: str, parent: str | None, *, copied: bool) -> None:
        """Make the folder under `new`, and let it appear. Somebody who only looks needs no copy."""
        new = self._new / key
        remove_tree(new)  # left by a call that failed
        new.mkdir(0o700)
        if parent is not None:
            (new / "parent").symlink_to(f"../../committed/{parent}")
        if copied:
            (new / "tree").mkdir(0o755)
            (new / "tree").chmod(0o755)  # whatever the umask
            if parent is not None:
                _copy(self._committed / parent / "tree", new / "tree")
                sync_filesystem(new)  # a rename can reach the disk before the content of what it renames
        new.rename(self._active / key)

    @hookimpl
    def commit(self, key: str, name: str) -> None:
        """Turn active `key` into committed `name`: one rename.

        The engine has unmounted it and written its files out to the disk. The rename is ours to write out: the engine
        records the snapshot as soon as we return, and both must survive a loss of power.
        """
        folder = self._active / key
        if not folder.exists():
            if (self._committed / name).exists():
                return  # the same call, once more
            raise NotFound(f"there is no active snapshot {key}")
        if not (folder / "tree").exists():
            raise Conflict(f"snapshot {key} is a view, which cannot be committed")
        if (self._committed / name).exists() or (name != key and (self._active / name).exists()):
            raise Conflict(f"snapshot {name} exists already")
        folder.rename(self._committed / name)
        sync_directory(self._committed)

    @hookimpl
    def remove(self, key: str) -> None:
        """Take it away by a rename, then delete at leisure. The engine has removed its children before."""
        trash = self._new / key
        remove_tree(trash)  # what an earlier call could not finish
        for folder in (self._active, self._committed):
            try:
                (folder / key).rename(trash)
            except FileNotFoundError:
                continue
            sync_directory(folder)
            remove_tree(trash)

    @hookimpl
    def list_snapshots(self) -> Sequence[Snapshot]:
        """What is really there, from the disk: the engine compares this with its own records when it starts."""
        return [
            Snapshot(folder.name, _parent(folder), committed=folder.parent == self._committed)
            for folder in self._folders()
        ]

    def _folders(self) -> Iterator[Path]:
        for kind in (self._committed, self._active):
            yield from sorted(kind.iterdir())

    # So much must be. The hooks from here on are optional: a driver that has them tells the engine what it would
    # otherwise not know.

    @hookimpl
    def usage(self, key: str) -> Usage:
        """What the snapshot adds to its parent: for a copy, the difference of both trees."""
        folder = self._find(key)
        if not (folder / "tree").exists():
            return Usage(0, 0)
        size, inodes = tree_usage(folder / "tree")
        parent = _parent(folder)
        if parent is None:
            return Usage(size, inodes)
        below, below_inodes = tree_usage(self._committed / parent / "tree")
        return Usage(max(0, size - below), max(0, inodes - below_inodes))

    @hookimpl
    def changes(self, key: str) -> Sequence[Change]:
        """What differs from the parent, which takes a walk through both trees."""
        folder = self._active / key
        if not folder.exists():
            raise NotFound(f"there is no active snapshot {key}")
        if not (folder / "tree").exists():
            return []
        parent = _parent(folder)
        old = str(self._committed / parent / "tree") if parent is not None else None
        return [Change(os.fsdecode(each.path), each.kind) for each in tree_changes(str(folder / "tree"), old)]

    @hookimpl
    def status(self) -> Sequence[tuple[str, str]]:
        """Nothing that `info` should show; Docker's vfs says nothing either."""
        return []

    def _find(self, key: str) -> Path:
        for folder in (self._active / key, self._committed / key):
            if folder.exists():
                return folder
        raise NotFound(f"there is no snapshot {key}")


def _parent(folder: Path) -> str | None:
    """The name of a snapshot's parent."""
    try:
        return os.path.basename(os.readlink(folder / "parent"))
    except FileNotFoundError:
        return None


def _copy(source: Path, target: Path) -> None:
    """Copy a tree with all that files have: owners, modes, times, links, devices, attributes.

    The tree was made by a stranger, so it is walked by descriptors, and no link is followed (`wherry.linux.tree_copy`,
    which shares blocks where the file system can).
    """
    opened = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (source, target)]
    try:
        copy_tree(*opened)
    finally:
        for each in opened:
            os.close(each)
