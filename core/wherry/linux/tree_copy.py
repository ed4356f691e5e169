"""Copying a tree: contents, owners, modes, times, links, devices, and the attributes of files and directories."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from wherry.linux.steps import effect
from wherry.linux.trees import Cursor, walk

_PIECE = 1 << 24
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_NO_REFLINK = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OVERLAYS_OWN = "trusted.overlay."


def copy_tree(source: int, target: int) -> int:
    """Copy what is in the open directory `source`, and its own attributes, into the empty open directory `target`.

    Follows no link and enters no mount. Files with several names keep them. Returns the number of entries copied.
    Raises OSError; then part of the tree is there.
    """
    return _Copy(source, target).run()


class _Copy:
    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = Cursor(os.dup(target))
        self._top = target
        self._path = [b"."]  # from the top of the target to where it is
        self._names: dict[tuple[int, int], bytes] = {}  # of files with several, where the first was put
        self._entries = 0

    def run(self) -> int:
        try:
            walk(
                os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._source), self._enter, self._leave
            )
            _copy_attributes(self._source, self._top)
        finally:
            self._target.close()
        return self._entries

    def _enter(self, source: int, name: bytes) -> list[bytes]:
        if name:
            os.mkdir(name, 0o700, dir_fd=self._target.here)
            self._target.down(name)
            self._path.append(name)
        folders = []
        for entry in os.listdir(source):
            child = os.fsencode(entry)
            found = os.stat(child, dir_fd=source, follow_symlinks=False)
            self._entries += 1
            if stat.S_ISDIR(found.st_mode):
                folders.append(child)
            else:
                self._copy_entry(source, child, found)
        return folders

    def _leave(self, parent: int, name: bytes) -> None:
        left = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            _copy_attributes(left, self._target.here)
        finally:
            os.close(left)
        self._target.up()
        self._path.pop()

    def _copy_entry(self, source: int, name: bytes, found: os.stat_result) -> None:
        identity = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and identity in self._names:
            os.link(
                self._names[identity], name, src_dir_fd=self._top, dst_dir_fd=self._target.here, follow_symlinks=False
            )
            return
        if stat.S_ISREG(found.st_mode):
            self._copy_file(source, name)
        else:
            self._copy_other(source, name, found)
        if found.st_nlink > 1:
            self._names[identity] = b"/".join([*self._path, name])

    def _copy_file(self, source: int, name: bytes) -> None:
        reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
        try:
            writing = os.open(name, _NEW_FILE, 0o600, dir_fd=self._target.here)
            try:
                _copy_content(reading, writing)
                _copy_attributes(reading, writing)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def _copy_other(self, source: int, name: bytes, found: os.stat_result) -> None:
        here = self._target.here
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=here)
        else:
            effect("mknod", name)
            os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=here)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=here, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=here)
        os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=here, follow_symlinks=False)


def _copy_content(reading: int, writing: int) -> None:
    """Share the blocks where the file system can (reflink), else let the kernel copy."""
    try:
        fcntl.ioctl(writing, _FICLONE, reading)
        return
    except OSError as error:
        if error.errno not in _NO_REFLINK:
            raise
    try:
        while os.copy_file_range(reading, writing, _PIECE):
            pass
    except OSError as error:
        if error.errno not in _NO_REFLINK:
            raise
        while os.sendfile(writing, reading, None, _PIECE):  # from one kind of file system to another
            pass


def _copy_attributes(source: int, target: int) -> None:
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for key in os.listxattr(source):
        if key.startswith(_OVERLAYS_OWN):
            continue
        try:
            os.setxattr(target, key, os.getxattr(source, key))
        except OSError as error:
            if error.errno != errno.ENOTSUP:  # a file system that cannot hold it
                raise
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
