"""Whiteouts of layers, in the two forms that a tree can have them.

They hide what *lower* layers have and never what their own archive brings (OCI image specification, "Layer Filesystem
Changeset"), in whatever order both come.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Protocol

from wherry.linux.files import remove_entry
from wherry.linux.openat2 import open_directory
from wherry.linux.steps import effect
from wherry.linux.trees import walk


class Whiteouts(Protocol):
    """What an extraction does about whiteouts; directories are open descriptors, `path` is from the tree's root."""

    def made(self, path: bytes) -> None:
        """The archive brought `path`."""

    def hide(self, directory: int, name: bytes, path: bytes) -> None:
        """Hide what lower layers have as `name`, which is at `path`."""

    def hide_all(self, directory: int, path: bytes) -> None:
        """Hide what lower layers have in the directory."""

    def lift(self, directory: int, name: bytes) -> bool:
        """Take away the mark that stands where the archive brings a directory; False if there is none."""

    def replaced(self, directory: int) -> None:
        """This directory came where a mark was lifted."""


class OverlayWhiteouts:
    """overlayfs' own marks, in a folder that holds one layer: a device 0:0, and an attribute of directories.

    Source: the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
    """

    def made(self, path: bytes) -> None:
        """What the folder has is what the archive brought."""

    def hide(self, directory: int, name: bytes, path: bytes) -> None:
        """Mark the name; a directory that the archive brought hides the lower one by being opaque, a file anyway."""
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            effect("mknod", name)
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
            return
        if stat.S_ISDIR(found.st_mode):
            _with_directory(directory, name, lambda opened: self.hide_all(opened, path))

    def hide_all(self, directory: int, path: bytes) -> None:
        """Make the directory opaque."""
        os.setxattr(directory, "trusted.overlay.opaque", b"y")

    def lift(self, directory: int, name: bytes) -> bool:
        """Remove the device."""
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not (stat.S_ISCHR(found.st_mode) and found.st_rdev == 0):
            return False
        os.unlink(name, dir_fd=directory)
        return True

    def replaced(self, directory: int) -> None:
        """Without the device, opaque it is."""
        self.hide_all(directory, b"")


class NoWhiteouts:
    """For an archive that is no layer: every name is just a name."""

    def made(self, path: bytes) -> None:
        """Nothing depends on it."""

    def hide(self, directory: int, name: bytes, path: bytes) -> None:
        """There are no marks to make."""

    def hide_all(self, directory: int, path: bytes) -> None:
        """There are no marks to make."""

    def lift(self, directory: int, name: bytes) -> bool:
        """There are no marks."""
        return False

    def replaced(self, directory: int) -> None:
        """There are no marks, so none is lifted."""


class _Made(dict[bytes, "_Made"]):
    """What an archive brought, as a tree of names: its size follows the archive's, however deep the paths."""


class DeletingWhiteouts:
    """For a folder that already holds the lower layers: a whiteout deletes whatever this archive has not brought."""

    def __init__(self) -> None:
        self._made = _Made()

    def made(self, path: bytes) -> None:
        """Remember the path and what it lies in."""
        at = self._made
        for name in path.split(b"/"):
            at = at.setdefault(name, _Made())

    def hide(self, directory: int, name: bytes, path: bytes) -> None:
        """Delete what is there, or, of a directory that the archive has part in, all else in it."""
        if _keeps_part(directory, name, self._part(path.rpartition(b"/")[0])):
            _with_directory(directory, name, lambda opened: self.hide_all(opened, path))

    def hide_all(self, directory: int, path: bytes) -> None:
        """Delete what is in the directory and below it and not from this archive."""
        at = [self._part(path)]

        def enter(here: int, name: bytes) -> list[bytes]:
            if name:
                at.append(at[-1][name])
            return [name for name in map(os.fsencode, os.listdir(here)) if _keeps_part(here, name, at[-1])]

        def leave(parent: int, name: bytes) -> None:
            at.pop()

        walk(os.dup(directory), enter, leave)

    def _part(self, path: bytes) -> _Made:
        at = self._made
        for name in filter(None, path.split(b"/")):
            at = at.get(name, _Made())
        return at

    def lift(self, directory: int, name: bytes) -> bool:
        """There are no marks."""
        return False

    def replaced(self, directory: int) -> None:
        """There are no marks, so none is lifted."""


def _keeps_part(directory: int, name: bytes, made: _Made) -> bool:
    """Delete what the archive has not brought; True for a directory that it has."""
    if name not in made:
        remove_entry(directory, name)
        return False
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)


def _with_directory(directory: int, name: bytes, function: Callable[[int], None]) -> None:
    opened = open_directory(directory, name)
    try:
        function(opened)
    finally:
        os.close(opened)
