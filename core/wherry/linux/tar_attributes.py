"""What entries of an archive say of files besides their contents: owner, mode, times and extended attributes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from wherry.errors import Invalid
from wherry.linux.steps import effect
from wherry.linux.tar_reader import Entry

_OVERLAYS_OWN = ("trusted.overlay.", "user.overlay.")  # what such attributes say is the engine's business
_NODES = {"character": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}


def make_node(entry: Entry, directory: int, name: bytes) -> None:
    """Make the link, device or fifo that an entry is."""
    if entry.kind == "symlink":
        if b"\0" in entry.link:
            raise Invalid("the archive has a link to a name with a zero byte")
        os.symlink(entry.link, name, dir_fd=directory)
    else:
        effect("mknod", name)
        os.mknod(name, _NODES[entry.kind] | 0o600, os.makedev(*entry.device), dir_fd=directory)


def set_attributes(opened: int, entry: Entry) -> None:
    """Give an open file or directory its owner, mode and attributes."""
    # In this order: a change of owner takes away set-id bits and capabilities. Always: in a set-group-id directory
    # even root's files begin with another group.
    os.fchown(opened, entry.uid, entry.gid)
    os.fchmod(opened, entry.mode)
    if entry.xattrs:
        _set_xattrs(opened, entry.xattrs)


def set_attributes_by_name(entry: Entry, directory: int, name: bytes) -> None:
    """The same for what cannot be opened without consequences, just made; and its time."""
    os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
    if entry.kind != "symlink":
        os.chmod(name, entry.mode, dir_fd=directory)  # it was made just now, so it is no link
    _set_xattrs(b"/proc/self/fd/%d/%s" % (directory, name), entry.xattrs)
    os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)


def _set_xattrs(target: int | bytes, xattrs: Iterable[tuple[str, bytes]]) -> None:
    for key, value in xattrs:
        if key.startswith(_OVERLAYS_OWN):
            continue
        try:
            os.setxattr(target, key, value, follow_symlinks=isinstance(target, int))
        except OSError as error:
            # As every other tool: what the file system or the kind of file cannot hold is left out, but no user's
            # archive loses what the engine must keep, which is security.capability.
            unable = error.errno == errno.ENOTSUP or (error.errno == errno.EPERM and key.startswith("user."))
            if not unable or key == "security.capability":
                raise
