"""The files of a container as the container sees them, in a mount namespace of the helper's own."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence

from wherry.errors import Invalid
from wherry.linux import mount_trees, mounts
from wherry.linux.steps import step

_MISFITS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)


class View:
    """The tree, whose root is the descriptor `root`, with the container's volumes and binds in it."""

    def __init__(self, root: int, at: str, rootfs_mount: int, readonly: Mapping[int, bool]) -> None:
        self.root = root
        self._at = at
        self._rootfs_mount = rootfs_mount
        self._readonly = readonly

    def check_writable(self, opened: int, *, readonly_rootfs: bool) -> None:
        """Raise `Invalid`, as Docker does, if what is opened lies where the container may not write."""
        mount = mount_trees.mount_id(opened)
        if mount == self._rootfs_mount and readonly_rootfs:
            raise Invalid("container rootfs is marked read-only")
        if self._readonly.get(mount) or (mount != self._rootfs_mount and os.fstatvfs(opened).f_flag & os.ST_RDONLY):
            raise Invalid("mounted volume is marked read-only")

    def path_of(self, opened: int) -> str:
        """Where in the tree a descriptor is."""
        path = os.readlink(f"/proc/self/fd/{opened}")
        return path.removeprefix(self._at) or "/"


def enter(arguments: Mapping[str, object]) -> View:
    """Put the view together; mount points that are missing are made, as a start makes them.

    Arguments: "rootfs", where the root file system is mounted now, or "" and "mounts", how to mount it ([[type, source,
    options]]); "at", a folder that nobody needs in this namespace; "binds" ([[source, destination, writable]], a
    destination above another one before it).
    """
    at = str(arguments["at"])
    with step("helper.view"):
        mount_trees.leave_mount_namespace()
        _mount_root(arguments, at)
        root = os.open(at, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        readonly: dict[int, bool] = {}
        for source, destination, writable in arguments["binds"]:  # type: ignore[attr-defined]
            found = _bind(root, source, os.fsencode(destination), writable=writable)
            if found is not None:
                readonly[found] = not writable
    return View(root, at, mount_trees.mount_id(root), readonly)


def _mount_root(arguments: Mapping[str, object], at: str) -> None:
    if rootfs := str(arguments["rootfs"]):
        copy = mount_trees.clone_tree(rootfs, recursive=False)
        target = os.open(at, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount_trees.attach_tree(copy, target)
        finally:
            os.close(target)
            os.close(copy)
        return
    for kind, source, options in arguments["mounts"]:  # type: ignore[attr-defined]
        mounts.mount(kind, source, at, options)


def _bind(root: int, source: str, destination: bytes, *, writable: bool) -> int | None:
    """Show `source` at its place, and return the mount's id; None where source or place is missing or they do not fit."""
    try:
        copy = mount_trees.clone_tree(source, recursive=True, readonly=not writable)
    except OSError as error:
        if error.errno in _MISFITS:
            return None
        raise
    try:
        _make_place(root, destination, folder=stat.S_ISDIR(os.fstat(copy).st_mode))
        target = mount_trees.lookup(root, destination)
        try:
            mount_trees.attach_tree(copy, target)
        finally:
            os.close(target)
        return mount_trees.mount_id(copy)
    except OSError as error:
        if error.errno in _MISFITS:
            return None
        raise
    finally:
        os.close(copy)


def _make_place(root: int, destination: bytes, *, folder: bool) -> None:
    """Make a mount point that is missing, part by part below the root."""
    parts: Sequence[bytes] = [part for part in destination.split(b"/") if part]
    at = b"/"
    for number, part in enumerate(parts):
        parent = mount_trees.lookup(root, at, os.O_DIRECTORY)
        try:
            if number < len(parts) - 1 or folder:
                os.mkdir(part, 0o755, dir_fd=parent)
            else:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                os.close(os.open(part, flags, 0o644, dir_fd=parent))
        except FileExistsError:
            pass
        finally:
            os.close(parent)
        at += part + b"/"
