"""openat2(2): open a path that someone else made, without leaving the directory it was meant for."""

from __future__ import annotations

import errno
import os
import struct

from wherry.linux.syscalls import syscall

# include/uapi/linux/openat2.h
NO_MOUNTS = 0x01  # RESOLVE_NO_XDEV: stay on the mount that the lookup started on
NO_SYMLINKS = 0x04  # RESOLVE_NO_SYMLINKS
BENEATH = 0x08  # RESOLVE_BENEATH: whatever leads out of the directory is refused (EXDEV)
IN_ROOT = 0x10  # RESOLVE_IN_ROOT: the directory is "/", as after a chroot

_NO_MAGIC_LINKS = 0x02  # RESOLVE_NO_MAGICLINKS: a link of /proc leads anywhere, so none is ever followed
_OPENAT2 = 437  # the same on every architecture
_HOW = struct.Struct("=QQQ")
_RETRIES = 128  # the kernel gives up with EAGAIN when a rename races with "..": a new attempt is a new lookup


def openat2(directory: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = IN_ROOT) -> int:
    """Open `path` below the descriptor `directory`. The result is close-on-exec. Raises OSError naming the path."""
    how = _HOW.pack(flags | os.O_CLOEXEC, mode, resolve | _NO_MAGIC_LINKS)
    name = os.fsencode(path)
    for attempt in range(_RETRIES):
        try:
            return syscall(_OPENAT2, directory, name, how, _HOW.size)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR) or attempt == _RETRIES - 1:
                raise OSError(error.errno, os.strerror(error.errno or 0), os.fsdecode(name)) from None
    raise AssertionError("unreachable: the last attempt returns or raises")


def open_directory(directory: int, name: str | bytes, *, mounts: bool = False) -> int:
    """Open the directory `name` itself: not what a link there points to, nor, without `mounts`, what is mounted on it (EXDEV)."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    return openat2(directory, name, flags, resolve=BENEATH | NO_SYMLINKS | (0 if mounts else NO_MOUNTS))
