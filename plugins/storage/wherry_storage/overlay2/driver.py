"""The hooks of overlay2."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.linux.files import remove_tree, tree_usage
from wherry.linux.mounts import mount, mounts, unmount
from wherry.linux.tree_changes import overlay_changes
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
from wherry_storage.overlay2.layout import Layout

# Whatever this kernel was built to default to: a layer must mean the same under any other layer, so nothing in it may
# point to another one by name or inode; and an image must not make the kernel follow such a pointer.
_OPTIONS = ("redirect_dir=nofollow", "metacopy=off", "index=off")
_UNFIT = ",:\\"  # what separates and escapes in overlayfs' options
_DOCKERS_NAMES = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs"}
_DEFAULT_TOP = (0o755, (0, 0))


class Driver(StorageDriver):
    """Every mount is an overlay: of the snapshot's `diff` as upper folder over its parents' (a view has no upper)."""

    def __init__(self, context: Context) -> None:
        if any(character in str(context.root) for character in _UNFIT):
            raise Unsupported(f"overlay2 cannot use {context.root}: a path with one of {_UNFIT} is no overlay option")
        self._layout = Layout(context.root)
        self._layout.set_up()
        self._layers: dict[str, tuple[str, ...]] = {}  # of a committed snapshot, topmost first; they never change
        _probe(self._layout.new / "probe")

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        """One overlay mount. Its upperdir is where layers are extracted."""
        if quota is not None:
            raise Unsupported("overlay2 has no quota")
        layers = self._chain(parent) if parent is not None else (str(self._layout.empty),)
        folder = self._layout.active / key
        if folder.exists():
            if self._layout.parent(folder) != parent:
                raise Conflict(f"snapshot {key} exists with another parent, {self._layout.parent(folder)}")
        elif (self._layout.committed / key).exists():
            raise Conflict(f"snapshot {key} exists and is committed")
        else:
            self._layout.add(key, parent, *self._top(parent))
        return [_overlay(folder, layers, writable)]

    @hookimpl
    def commit(self, key: str, name: str) -> None:
        """One rename; overlayfs' work folder is gone before."""
        if not (self._layout.active / key).exists():
            if (self._layout.committed / name).exists():
                return
            raise NotFound(f"there is no active snapshot {key}")
        if (self._layout.committed / name).exists() or (name != key and (self._layout.active / name).exists()):
            raise Conflict(f"snapshot {name} exists already")
        self._layout.commit(key, name)

    @hookimpl
    def remove(self, key: str) -> None:
        """Rename out of the way, then delete."""
        self._layers.pop(key, None)
        self._layout.remove(key)

    @hookimpl
    def list_snapshots(self) -> Sequence[Snapshot]:
        """By what is in the folders."""
        return [Snapshot(at.name, self._layout.parent(at), committed) for at, committed in self._layout.snapshots()]

    @hookimpl
    def usage(self, key: str) -> Usage:
        """The layer's own files."""
        for folder in (self._layout.active / key, self._layout.committed / key):
            if folder.exists():
                return Usage(*tree_usage(folder / "diff"))
        raise NotFound(f"there is no snapshot {key}")

    @hookimpl
    def parts(self, key: str) -> Mapping[str, str]:
        """Docker's names for them. A committed snapshot has had its work folder where it is named."""
        layout = self._layout
        for folder in (layout.active / key, layout.committed / key):
            if folder.exists():
                names = self._names(layout.parent(folder))
                lower = {"LowerDir": ":".join(f"{layout.committed / name}/diff" for name in names)} if names else {}
                return {**lower, "UpperDir": f"{folder}/diff", "WorkDir": f"{folder}/work"}
        raise NotFound(f"there is no snapshot {key}")

    @hookimpl
    def changes(self, key: str) -> Sequence[Change]:
        """By what the layer has: overlayfs has put everything that was written there."""
        folder = self._layout.active / key
        if not folder.exists():
            raise NotFound(f"there is no active snapshot {key}")
        parent = self._layout.parent(folder)
        layers = [str(self._layout.root / layer) for layer in self._chain(parent)] if parent else []
        found = overlay_changes(str(folder / "diff"), layers)
        return [Change(os.fsdecode(each.path), each.kind) for each in found]

    @hookimpl
    def status(self) -> Sequence[tuple[str, str]]:
        """What Docker's overlay2 reports."""
        below = [info for info in mounts() if self._layout.root.is_relative_to(info.target)]
        kind = max(below, key=lambda info: len(info.target)).kind
        return [
            ("Backing Filesystem", _DOCKERS_NAMES.get(kind, kind)),
            ("Supports d_type", "true"),
            ("Using metacopy", "false"),
            ("Native Overlay Diff", "true"),
            ("userxattr", "false"),
        ]

    def _names(self, name: str | None) -> list[str]:
        """The committed snapshot and its parents, topmost first."""
        names = []
        while name is not None:
            names.append(name)
            name = self._layout.parent(self._layout.committed / name)
        return names

    def _chain(self, name: str) -> tuple[str, ...]:
        """The committed snapshot's layers, topmost first, by their short names. Raises `NotFound`."""
        missing: list[str] = []
        at: str | None = name
        while at is not None and at not in self._layers:
            folder = self._layout.committed / at
            if not folder.exists():
                raise NotFound(f"there is no committed snapshot {at}")
            missing.append(at)
            at = self._layout.parent(folder)
        for one in reversed(missing):
            below = self._layers[at] if at is not None else ()
            self._layers[one] = (str(self._layout.link(one)), *below)
            at = one
        return self._layers[name]

    def _top(self, parent: str | None) -> tuple[int, tuple[int, int]]:
        """Mode and owner of the tree's top folder, which the topmost layer decides."""
        if parent is None:
            return _DEFAULT_TOP
        found = os.stat(self._layout.committed / parent / "diff")
        return stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)


def _overlay(folder: Path, layers: Sequence[str], writable: bool) -> Mount:
    lower = [f"lowerdir+={layer}" for layer in layers]
    if writable:
        return Mount("overlay", "overlay", (*lower, f"upperdir={folder}/diff", f"workdir={folder}/work", *_OPTIONS))
    return Mount("overlay", "overlay", ("ro", f"lowerdir+={folder}/diff", *lower, *_OPTIONS))


def _probe(folder: Path) -> None:
    """Raise `Unsupported` unless overlayfs works on the root's file system."""
    shown = folder / "shown"
    try:
        for name in ("lower", "diff", "work", "shown"):
            (folder / name).mkdir(parents=True)
        os.setxattr(folder / "diff", "trusted.overlay.opaque", b"y")
        # `volatile`: unmounting must not write out all that the file system holds back.
        options = (*_overlay(folder, [str(folder / "lower")], True).options, "volatile")
        mount("overlay", "overlay", str(shown), options)
        unmount(str(shown))
    except OSError as error:
        if error.errno == errno.ENOSPC:  # says nothing of overlayfs; the engine must start to make room
            return
        raise Unsupported(f"overlay2 does not work in {folder.parent}: {error.strerror}") from error
    finally:
        remove_tree(folder)
