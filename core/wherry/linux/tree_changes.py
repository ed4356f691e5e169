"""What a tree has that another has not: for overlays, by the upper folder alone; for whole trees, side by side.

Directories count as modified if their owner or mode differ or something below them does, other things if they are others
or have another size, time, owner or mode. Paths are absolute; a directory comes before what is in it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Literal, NamedTuple

from wherry.errors import Failed
from wherry.linux.openat2 import open_directory

Kind = Literal["added", "modified", "deleted"]
_OPAQUE = "trusted.overlay.opaque"
_DEPTH = 250  # folders within folders; a descriptor each, and more than any tree that was not made to be deep


class TreeChange(NamedTuple):
    """One path that differs."""

    path: bytes
    kind: Kind


def overlay_changes(upper: str, lowers: Sequence[str]) -> list[TreeChange]:
    """What an overlay's upper folder changes of the folders below it, topmost first."""
    with ExitStack() as opened:
        top = _opened(opened, upper)
        below = [_opened(opened, lower) for lower in lowers]
        return list(_overlay(top, below, b"", hidden=False))


def tree_changes(new: str, old: str | None) -> list[TreeChange]:
    """What differs between two whole trees, None being an empty one."""
    with ExitStack() as opened:
        top = _opened(opened, new)
        return list(_trees(top, _opened(opened, old) if old is not None else None, b""))


def _opened(stack: ExitStack, path: str) -> int:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, opened)
    return opened


class _Lower(NamedTuple):
    """What the lower folders show as one name: what it is, and, of a directory, the folders that show it together."""

    found: os.stat_result
    folders: list[int]  # the directories, opened, in which the entry lies


def _overlay(upper: int, lowers: Sequence[int], path: bytes, *, hidden: bool) -> Iterator[TreeChange]:
    """The changes below one directory; `hidden`: it shows nothing of the lower one, which was replaced as a whole."""
    _check_depth(path)
    shown = _shown(lowers)
    names = sorted(map(os.fsencode, os.listdir(upper)))
    for name in names:
        at, found = path + b"/" + name, os.stat(name, dir_fd=upper, follow_symlinks=False)
        lower = shown.pop(name, None)
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            if lower is not None:
                yield TreeChange(at, "deleted")
        elif not stat.S_ISDIR(found.st_mode):
            yield TreeChange(at, "added" if lower is None else "modified")
        else:
            yield from _overlay_folder(upper, name, found, lower, at, hidden=hidden)
    if hidden:
        for name in sorted(shown):
            yield TreeChange(path + b"/" + name, "deleted")


def _overlay_folder(
    upper: int, name: bytes, found: os.stat_result, lower: _Lower | None, at: bytes, *, hidden: bool
) -> Iterator[TreeChange]:
    opened = open_directory(upper, name)
    try:
        with ExitStack() as stack:
            below: list[int] = []
            if lower is not None and stat.S_ISDIR(lower.found.st_mode):
                below = _open_all(stack, lower.folders, name)
            inner = list(_overlay(opened, below, at, hidden=hidden or _is_opaque(opened)))
    finally:
        os.close(opened)
    if lower is None:
        yield TreeChange(at, "added")
    elif inner or not _same_folder(found, lower.found):
        yield TreeChange(at, "modified")
    yield from inner


def _shown(lowers: Sequence[int]) -> dict[bytes, _Lower]:
    """What these folders show together, the first being on top."""
    shown: dict[bytes, _Lower] = {}
    closed: set[bytes] = set()  # names below which no lower folder shows
    for lower in lowers:
        for entry in os.listdir(lower):
            name = os.fsencode(entry)
            if name in closed:
                continue
            found = os.stat(name, dir_fd=lower, follow_symlinks=False)
            above = shown.get(name)
            if stat.S_ISDIR(found.st_mode):
                if above is None:
                    shown[name] = _Lower(found, [lower])
                else:
                    above.folders.append(lower)
                opened = open_directory(lower, name)
                if _is_opaque(opened):
                    closed.add(name)
                os.close(opened)
                continue
            closed.add(name)
            if above is None and not (stat.S_ISCHR(found.st_mode) and found.st_rdev == 0):
                shown[name] = _Lower(found, [])
    return shown


def _open_all(stack: ExitStack, folders: Sequence[int], name: bytes) -> list[int]:
    opened = [open_directory(folder, name) for folder in folders]
    for each in opened:
        stack.callback(os.close, each)
    return opened


def _is_opaque(opened: int) -> bool:
    try:
        return os.getxattr(opened, _OPAQUE) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise


def _check_depth(path: bytes) -> None:
    if path.count(b"/") > _DEPTH:
        raise Failed(f"the tree has more than {_DEPTH} folders within each other, which are not compared")


def _trees(new: int, old: int | None, path: bytes) -> Iterator[TreeChange]:
    _check_depth(path)
    before = set(map(os.fsencode, os.listdir(old))) if old is not None else set()
    now = set(map(os.fsencode, os.listdir(new)))
    for name in sorted(before | now):
        at = path + b"/" + name
        if name not in now:
            yield TreeChange(at, "deleted")
            continue
        found = os.stat(name, dir_fd=new, follow_symlinks=False)
        earlier = os.stat(name, dir_fd=old, follow_symlinks=False) if name in before else None
        if not stat.S_ISDIR(found.st_mode):
            if earlier is None or not _same(found, earlier):
                yield TreeChange(at, "added" if earlier is None else "modified")
            continue
        with ExitStack() as stack:
            (below,) = _open_all(stack, [new], name)
            other = None
            if old is not None and earlier is not None and stat.S_ISDIR(earlier.st_mode):
                (other,) = _open_all(stack, [old], name)
            inner = list(_trees(below, other, at))
        if earlier is None:
            yield TreeChange(at, "added")
        elif inner or not _same_folder(found, earlier):
            yield TreeChange(at, "modified")
        yield from inner


def _same_folder(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    if not _same_folder(one, other) or one.st_rdev != other.st_rdev:
        return False
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
