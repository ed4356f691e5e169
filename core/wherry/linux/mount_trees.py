"""A mount namespace of this process's own, and trees of mounts put together in it by descriptors.

For short-lived processes that need to see what a container sees: all of it ends with the process.
"""

from __future__ import annotations

import os
import struct

from wherry.linux.openat2 import openat2
from wherry.linux.steps import effect
from wherry.linux.syscalls import call, syscall

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _FROM_EMPTY_PATH, _TO_EMPTY_PATH = 0x1, 0x4, 0x40
_ATTR_RDONLY = 0x1
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000


def leave_mount_namespace() -> None:
    """Give this process, which has one thread, its own copy of all mounts: what it mounts shows nowhere else.

    What is unmounted elsewhere vanishes here too, so that nothing is kept busy.
    """
    effect("unshare", "mount namespace")
    call("unshare", _CLONE_NEWNS)
    call("mount", None, "/", None, _MS_REC | _MS_SLAVE, None)


def clone_tree(path: str, *, recursive: bool, readonly: bool = False) -> int:
    """A detached copy of the mount at `path`, with `recursive` also of those below it, as a descriptor."""
    recursion = _AT_RECURSIVE if recursive else 0
    copy = syscall(_OPEN_TREE, _AT_FDCWD, path, _OPEN_TREE_CLONE | os.O_CLOEXEC | recursion)
    try:
        if readonly:
            attributes = struct.pack("=QQQQ", _ATTR_RDONLY, 0, 0, 0)
            syscall(_MOUNT_SETATTR, copy, b"", _AT_EMPTY_PATH | recursion, attributes, len(attributes))
    except BaseException:
        os.close(copy)
        raise
    return copy


def attach_tree(copy: int, target: int) -> None:
    """Mount the detached tree on what the descriptor `target` is. Raises OSError if one is a directory and one is not."""
    effect("mount", "a descriptor")
    syscall(_MOVE_MOUNT, copy, b"", target, b"", _FROM_EMPTY_PATH | _TO_EMPTY_PATH)


def mount_id(opened: int) -> int:
    """Which mount a descriptor is on."""
    with open(f"/proc/self/fdinfo/{opened}") as info:
        for line in info:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    raise OSError(f"descriptor {opened} tells no mount")


def lookup(root: int, path: bytes, flags: int = 0) -> int:
    """The thing at `path` with `root` as the root, as a descriptor that only names it. Follows links, crosses mounts."""
    return openat2(root, path, os.O_PATH | flags)
