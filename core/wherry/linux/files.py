"""Files and trees of files: written whole or not at all, removed and measured without leaving the tree."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wherry.linux.openat2 import open_directory
from wherry.linux.syscalls import call
from wherry.linux.trees import walk

_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602  # ioctl_iflags(2)
_FS_IMMUTABLE_FL, _FS_APPEND_FL = 0x10, 0x20


def write_file(path: Path, data: bytes, mode: int = 0o644, *, sync: bool = False) -> None:
    """Make `path` a file of this content and exactly this mode; readers see the old file or the new one, never a part.

    With `sync` it survives a loss of power once this returns. One writer at a time for one path.
    """
    new = _unfinished(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        file = os.open(new, flags, mode)
    except FileExistsError:  # left by a writer that was killed
        os.unlink(new)
        file = os.open(new, flags, mode)
    try:
        try:
            os.fchmod(file, mode)
            write_all(file, data)
            if sync:
                os.fsync(file)
        finally:
            os.close(file)
        os.rename(new, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise
    if sync:
        sync_directory(path.parent)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write all of `data`, in however many calls that takes."""
    written = os.write(file, data)
    while written < len(data):
        data = memoryview(data)[written:]
        written = os.write(file, data)


def remove_file(path: Path) -> None:
    """Remove a file, and what a killed `write_file` left of it. It stays removed after a loss of power."""
    for name in (_unfinished(path), path):
        with suppress(FileNotFoundError):
            os.unlink(name)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Write out the names in a directory: what was made, renamed or removed in it survives a loss of power."""
    _with_open(path, os.fsync)


def sync_filesystem(path: Path) -> None:
    """Write out everything that the file system of `path` holds back, and wait for it."""
    _with_open(path, lambda opened: call("syncfs", opened))


def clear_directory(path: Path, mode: int = 0o755) -> None:
    """Make the directory empty, and make it if it is missing. A full disk has no room for a new one, so the old one stays."""
    path.mkdir(mode=mode, exist_ok=True)
    for entry in path.iterdir():
        remove_tree(entry)


def remove_tree(path: Path) -> None:
    """Remove `path` and all below it, also what is marked immutable; succeeds if there is nothing.

    Links are removed, not followed. Raises OSError (EBUSY or EXDEV) at a mount, which is left as it is.
    """
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        remove_entry(parent, os.fsencode(path.name))
    finally:
        os.close(parent)


def remove_entry(directory: int, name: bytes) -> None:
    """Remove the entry `name` of an open directory, with all below it; succeeds if there is none."""
    try:
        _delete(os.unlink, directory, name)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        walk(open_directory(directory, name), lambda here, _: _unlink_files(here), _rmdir)
        _rmdir(directory, name)


def tree_usage(path: Path) -> tuple[int, int]:
    """Bytes and inodes of the directory `path` and all below it, on its own mount.

    Bytes are the lengths of files and links, as Docker counts sizes; a file with several names counts once. What
    vanishes during the walk is left out. Raises FileNotFoundError if `path` is missing.
    """
    linked: set[tuple[int, int]] = set()
    size, inodes = 0, 1

    def measure(directory: int, _: bytes) -> list[bytes]:
        nonlocal size, inodes
        folders: list[bytes] = []
        for entry in os.listdir(directory):
            name = os.fsencode(entry)
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(found.st_mode):
                folders.append(name)
            elif found.st_nlink > 1:
                if (found.st_dev, found.st_ino) in linked:
                    continue
                linked.add((found.st_dev, found.st_ino))
            inodes += 1
            size += 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        return folders

    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    walk(top, measure, lambda parent, name: None, skip_mounts=True)
    return size, inodes


def _with_open(path: Path, function: Callable[[int], object]) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        function(opened)
    finally:
        os.close(opened)


def _rmdir(directory: int, name: bytes) -> None:
    _delete(os.rmdir, directory, name)


def _unlink_files(directory: int) -> list[bytes]:
    """Remove everything in a directory but its sub-directories, whose names it returns."""
    with os.scandir(directory) as entries:
        found = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            _delete(os.unlink, directory, name)
    return [name for name, is_directory in found if is_directory]


def _delete(remove: Callable[..., None], directory: int, name: bytes) -> None:
    try:
        remove(name, dir_fd=directory)
    except PermissionError:
        # A container that may use chattr(1) can leave what even root cannot delete, in the entry or in its directory.
        _make_deletable(directory)
        if stat.S_IFMT(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            try:
                _make_deletable(entry)
            finally:
                os.close(entry)
        remove(name, dir_fd=directory)


def _make_deletable(opened: int) -> None:
    flags = bytearray(struct.calcsize("l"))
    fcntl.ioctl(opened, _FS_IOC_GETFLAGS, flags)
    (value,) = struct.unpack_from("=I", flags)
    if value & (_FS_IMMUTABLE_FL | _FS_APPEND_FL):
        struct.pack_into("=I", flags, 0, value & ~(_FS_IMMUTABLE_FL | _FS_APPEND_FL))
        fcntl.ioctl(opened, _FS_IOC_SETFLAGS, flags)
