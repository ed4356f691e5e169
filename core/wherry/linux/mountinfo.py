"""The table of what is mounted in this namespace, and the question whether a path is a mount."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from typing import NamedTuple

from wherry.linux.syscalls import call

_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _AT_NO_AUTOMOUNT = -100, 0x100, 0x800
_STATX_ATTR_MOUNT_ROOT = 0x2000  # struct statx: its attributes are the 64 bits at offset 8


class MountInfo(NamedTuple):
    """One line of mountinfo (proc(5)): `root` is the folder of the file system that shows, `device` is MAJOR:MINOR."""

    id: int
    parent: int
    device: str
    root: str
    target: str
    kind: str
    source: str
    options: tuple[str, ...]  # the mount's own, then those of its file system
    propagation: tuple[str, ...]  # "shared:N", "master:N", ...; empty if private


def is_mount(path: str) -> bool:
    """True if something is mounted on `path`: also a bind of its own file system, which os.path.ismount misses."""
    buffer = ctypes.create_string_buffer(256)
    try:
        call("statx", _AT_FDCWD, path, _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT, 0, buffer)
    except FileNotFoundError:
        return False
    return bool(struct.unpack_from("=Q", buffer, 8)[0] & _STATX_ATTR_MOUNT_ROOT)


def mounts(under: str = "/") -> list[MountInfo]:
    """What is mounted on `under` and below it, in the order of mounting."""
    with open("/proc/self/mountinfo", "rb") as table:
        every = [_parse(line) for line in os.fsdecode(table.read()).split("\n") if line]
    prefix = under.rstrip("/") + "/"
    return [info for info in every if info.target == under or info.target.startswith(prefix)]


def _parse(line: str) -> MountInfo:
    first, _, second = line.partition(" - ")
    number, parent, device, root, target, own, *optional = first.split(" ")
    kind, source, general = second.split(" ", 2)
    return MountInfo(
        id=int(number),
        parent=int(parent),
        device=device,
        root=_plain(root),
        target=_plain(target),
        kind=kind,
        source=_plain(source),
        options=tuple(_plain(word) for word in f"{own},{general}".split(",")),
        propagation=tuple(filter(None, optional)),
    )


def _plain(text: str) -> str:
    """Undo the kernel's octal escapes, which stand for bytes."""
    if "\\" not in text:
        return text
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), os.fsencode(text)))
