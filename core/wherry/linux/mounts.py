"""Mounting and unmounting by system calls.

An overlay's layers are given as `lowerdir+=PATH`, topmost first. As long as all options fit into a page they are joined
and go to mount(2), which every kernel has and which is the faster way; else each goes by itself to fsconfig(2), which
knows `lowerdir+` since Linux 6.7; before that, descriptors stand for the long paths.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from contextlib import ExitStack

from wherry.errors import Conflict, Invalid
from wherry.linux.mount_options import LOWER, Words, join_layers, sort_options
from wherry.linux.mountinfo import MountInfo, is_mount, mounts
from wherry.linux.servers import with_address
from wherry.linux.steps import effect
from wherry.linux.syscalls import call, syscall

__all__ = ["MountInfo", "bind", "is_mount", "make_private", "make_shared", "mount", "mounts", "unbind", "unmount"]

# Numbers of system calls that are the same on every architecture, and the constants that they take.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _FROM_EMPTY_PATH, _FS_CLOEXEC = 0x1, 0x4, 0x1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_MS_PRIVATE, _MS_SHARED = 0x40000, 0x100000
_MNT_DETACH, _UMOUNT_NOFOLLOW = 0x2, 0x8
_PAGE = 4096


def mount(kind: str, source: str, target: str, options: Sequence[str] = ()) -> None:
    """Mount `source` on `target`; the same mount already there is left as it is. Raises OSError.

    Kind "bind" shows the folder or file `source` again, with the option "rbind" also what is mounted below it ("ro" then
    holds for all of that). The name of a server (NFS, CIFS) becomes its address, which may take long. Raises `Conflict`
    if something else is mounted on `target`, and `Unavailable` if nobody knows the server's name.
    """
    words = sort_options(with_address(kind, source, options))
    if kind == "bind":
        _bind(source, target, words)
    elif not (is_mount(target) and _is_there(kind, source, target, words)):
        effect("mount", target)
        joined = ",".join(join_layers(words.data))
        if len(os.fsencode(joined)) < _PAGE:
            call("mount", source, target, kind, words.bits(), joined)
        else:
            _mount_long(kind, source, target, words)
    for change in words.propagation:
        call("mount", None, target, None, change, None)


def bind(source: str, target: str, *, readonly: bool = False) -> None:
    """Show `source`, and what is mounted below it, on `target` as well. Both may be the same path."""
    mount("bind", source, target, ("rbind", "ro" if readonly else "rw"))


def unmount(target: str) -> None:
    """Take away all that is mounted on `target`; succeeds if that is nothing or `target` is missing.

    The mounts leave the tree at once and end with their last user: open files stay usable.
    """
    effect("umount", target)
    while True:
        try:
            call("umount2", target, _MNT_DETACH | _UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno in (
                errno.EINVAL,
                errno.ENOENT,
                errno.ENOTDIR,
            ):  # EINVAL: nothing is mounted there (any more)
                return
            raise


def unbind(target: str) -> None:
    """Undo `bind(target, target)`, and nothing else that is mounted there; succeeds if it was not done or is undone."""
    if is_mount(target) and _is_bound(target, target):
        effect("umount", target)
        call("umount2", target, _MNT_DETACH | _UMOUNT_NOFOLLOW)


def make_shared(target: str) -> None:
    """What is mounted below the mount `target` from now on shows in its copies, in other namespaces too."""
    effect("mount", target)
    call("mount", None, target, None, _MS_SHARED, None)


def make_private(target: str) -> None:
    """What is mounted below the mount `target` from now on shows nowhere else."""
    effect("mount", target)
    call("mount", None, target, None, _MS_PRIVATE, None)


def _top(target: str) -> MountInfo:
    return [info for info in mounts(os.path.realpath(target)) if info.target == os.path.realpath(target)][-1]


def _is_there(kind: str, source: str, target: str, words: Words) -> bool:
    """True if what is mounted on `target` is this; raises `Conflict` if it is something else."""
    found = _top(target)
    if (found.kind, found.source) == (kind, source) and _top_layer(found.options) == _top_layer(words.data):
        return True
    raise Conflict(f"{target} is taken: {found.kind} {found.source} is mounted there")


def _top_layer(options: Sequence[str]) -> str | None:
    """An overlay's identity: two never share the folder that is topmost."""
    pairs = dict(option.partition("=")[::2] for option in reversed(join_layers(options)))
    if "upperdir" in pairs:
        return pairs["upperdir"]
    return pairs.get("lowerdir", "").replace("\\:", "\0").split(":")[0].replace("\0", ":") or None


def _bind(source: str, target: str, words: Words) -> None:
    unknown = [word for word in words.data if word not in ("bind", "rbind")]
    if unknown:
        raise Invalid(f"a bind mount has no option {unknown[0]!r}")
    recursive = _AT_RECURSIVE if "rbind" in words.data else 0
    if _is_bound(source, target):
        return
    effect("mount", target)
    # A detached copy gets its flags before anyone can see it: a read-only bind is never writable for a moment.
    copy = syscall(_OPEN_TREE, _AT_FDCWD, source, _OPEN_TREE_CLONE | os.O_CLOEXEC | recursive)
    try:
        if words.attributes() or words.cleared():
            attributes = struct.pack("=QQQQ", words.attributes(), words.cleared(), 0, 0)
            syscall(_MOUNT_SETATTR, copy, b"", _AT_EMPTY_PATH | recursive, attributes, len(attributes))
        syscall(_MOVE_MOUNT, copy, b"", _AT_FDCWD, target, _FROM_EMPTY_PATH)
    finally:
        os.close(copy)


def _is_bound(source: str, target: str) -> bool:
    if not is_mount(target):
        return False
    if not os.path.samefile(source, target):
        raise Conflict(f"{target} is taken: {_top(target).kind} {_top(target).source} is mounted there")
    if os.path.realpath(source) != os.path.realpath(target):
        return True
    # A path bound onto itself shows what is below it; a file system's first mount there shows something else.
    top = _top(target)
    below = {info.id: info for info in mounts()}.get(top.parent)
    if below is None or below.device != top.device:
        return False
    return top.root == os.path.normpath(os.path.join(below.root, os.path.relpath(top.target, below.target)))


def _mount_long(kind: str, source: str, target: str, words: Words) -> None:
    try:
        _mount_stepwise(kind, source, target, words)
    except OSError as error:
        if error.errno != errno.EINVAL or not any(option.startswith(LOWER) for option in words.data):
            raise
        _mount_by_descriptors(kind, source, target, words)


def _mount_stepwise(kind: str, source: str, target: str, words: Words) -> None:
    context = syscall(_FSOPEN, kind, _FS_CLOEXEC)
    try:
        syscall(_FSCONFIG, context, _SET_STRING, b"source", source, 0)
        for word in words.of_file_system():
            syscall(_FSCONFIG, context, _SET_FLAG, word, None, 0)
        for option in words.data:
            key, equals, value = option.partition("=")
            syscall(_FSCONFIG, context, _SET_STRING if equals else _SET_FLAG, key, value if equals else None, 0)
        syscall(_FSCONFIG, context, _CREATE, None, None, 0)
        made = syscall(_FSMOUNT, context, _FS_CLOEXEC, words.attributes())
    finally:
        os.close(context)
    try:
        syscall(_MOVE_MOUNT, made, b"", _AT_FDCWD, target, _FROM_EMPTY_PATH)
    finally:
        os.close(made)


def _mount_by_descriptors(kind: str, source: str, target: str, words: Words) -> None:
    """Layers as /proc/self/fd/N: 200 fit into a page. The topmost keeps its name, by which the mount is recognised."""
    with ExitStack() as opened:
        data: list[str] = []
        for option in words.data:
            if option.startswith(LOWER) and any(earlier.startswith(LOWER) for earlier in data):
                layer = os.open(option.removeprefix(LOWER), os.O_PATH | os.O_CLOEXEC)
                opened.callback(os.close, layer)
                option = f"{LOWER}/proc/self/fd/{layer}"
            data.append(option)
        call("mount", source, target, kind, words.bits(), ",".join(join_layers(data)))
