"""Extracting layers: an archive from a stranger becomes a tree, and nothing outside that tree changes.

Each entry is made by its last name within a descriptor of its directory, and that descriptor comes from openat2(2) with
the tree as its root: links of the archive lead where they would lead in a container.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import IO, Literal, NamedTuple

from wherry.errors import Failed, Invalid, WherryError
from wherry.linux.files import write_all
from wherry.linux.openat2 import open_directory
from wherry.linux.tar_attributes import make_node, set_attributes, set_attributes_by_name
from wherry.linux.tar_folders import Folders
from wherry.linux.tar_reader import Entry, Reader
from wherry.linux.tar_record import Recorder
from wherry.linux.tar_whiteouts import DeletingWhiteouts, NoWhiteouts, OverlayWhiteouts, Whiteouts

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_HOUSEKEEPING = b".wh..wh."  # what aufs keeps for itself, and old images still carry
_PATH_MAX = 4096
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# What an archive can bring about by what it says; any other error is the host's.
_CAUSED = {
    errno.E2BIG, errno.EEXIST, errno.EFBIG, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG,
    errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EOVERFLOW, errno.ERANGE, errno.EXDEV,
}  # fmt: skip


class Extracted(NamedTuple):
    """What an archive had: entries, and bytes of all its files."""

    entries: int
    bytes: int


def extract(
    stream: int | IO[bytes], root: str, *, whiteouts: Literal["overlay", "delete"], recorder: Recorder | None = None
) -> Extracted:
    """Make what an uncompressed archive describes in the directory `root`, and read the stream to its end.

    Whiteouts become overlayfs' own marks ("overlay": `root` will be a layer), or delete what was in `root` before
    ("delete"). A recorder learns what it takes to make the archive again. Raises `Invalid`, naming the entry, if the archive is damaged, incomplete or reaches out of the tree, and
    `Failed` if the host cannot make an entry; the tree then has what came before. A later entry of a name replaces an
    earlier one; a directory over a directory keeps the contents.
    """
    chosen: Whiteouts = OverlayWhiteouts() if whiteouts == "overlay" else DeletingWhiteouts()
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    folders = Folders(top, chosen, removed=recorder.removed if recorder else None)
    try:
        reader = Reader(stream, recorder)
        extracted = _Extraction(reader, folders, chosen).run()
        reader.drain()
        return extracted
    finally:
        folders.close()


class Placing(NamedTuple):
    """How an archive is put into a tree that somebody uses: `cp`, not a layer.

    `folder` is where, from the tree's root, and `opened` that directory, which is taken over; `owner` replaces what entries say; with `keep_kinds` no file takes a
    directory's place nor the other way.
    """

    folder: bytes
    opened: int
    owner: tuple[int, int] | None = None
    keep_kinds: bool = False


def place(stream: int | IO[bytes], root: int, placing: Placing) -> Extracted:
    """Make what an uncompressed archive describes in a folder of the tree `root`, whose descriptor stays the caller's.

    Links, also those that the tree has, lead where they lead from `root`; mounts below it are part of it. Nothing is a
    whiteout. Raises as `extract` does.
    """
    chosen = NoWhiteouts()
    folders = Folders(os.dup(root), chosen, base=(placing.folder, placing.opened))
    try:
        reader = Reader(stream)
        extracted = _Extraction(reader, folders, chosen, placing).run()
        reader.drain()
        return extracted
    finally:
        folders.close()


class _Extraction:
    def __init__(self, reader: Reader, folders: Folders, whiteouts: Whiteouts, placing: Placing | None = None) -> None:
        self._reader = reader
        self._folders = folders
        self._whiteouts = whiteouts
        self._placing = placing
        self._prefix = placing.folder if placing else b""

    def run(self) -> Extracted:
        entries = size = 0
        for entry in self._reader:
            entries += 1
            self._folders.trim()
            try:
                self._make(entry)
            except OSError as error:
                raise _explained(entry.name, error) from error
            size += entry.length if entry.kind == "file" else 0
        self._folders.set_times()
        return Extracted(entries, size)

    def _make(self, entry: Entry) -> None:
        path = self._inside(entry.name)
        parent, _, name = path.rpartition(b"/")
        if self._placing is None and _WHITEOUT in path and self._whiteout(path, parent, name):
            return
        if path == self._prefix:
            self._make_top(entry)
            return
        self._whiteouts.made(path)
        directory = self._folders.make(parent)
        if self._placing is not None:
            if self._placing.owner is not None:
                entry = entry._replace(uid=self._placing.owner[0], gid=self._placing.owner[1])
            if self._placing.keep_kinds:
                _check_kind(entry, directory, path, self._prefix)
        if entry.kind == "file":
            self._make_file(entry, directory, name, path)
        elif entry.kind == "directory":
            self._make_directory(entry, directory, name, path)
        elif entry.kind == "hardlink":
            self._make_hardlink(entry, directory, name, path)
        else:
            self._make_other(entry, directory, name, path)

    def _inside(self, name: bytes) -> bytes:
        path = _inside(name)
        return self._prefix + b"/" + path if self._prefix and path else path or self._prefix

    def _whiteout(self, path: bytes, parent: bytes, name: bytes) -> bool:
        """Do what a whiteout says; False if `path` is none."""
        if path.startswith(_HOUSEKEEPING) and path != _OPAQUE:
            return True
        if any(part.startswith(_WHITEOUT) for part in parent.split(b"/")):
            raise Invalid(f"{_shown(path)}: the archive has an entry below a whiteout")
        if not name.startswith(_WHITEOUT):
            return False
        hidden = name[len(_WHITEOUT) :]
        directory = self._folders.make(parent)
        if name == _OPAQUE:
            self._whiteouts.hide_all(directory, parent)
        elif hidden in (b"", b".", b".."):
            raise Invalid(f"{_shown(path)}: the archive has a whiteout of no name")
        elif not hidden.startswith(_WHITEOUT):
            self._whiteouts.hide(directory, hidden, parent + b"/" + hidden if parent else hidden)
        self._folders.forget()
        return True

    def _make_top(self, entry: Entry) -> None:
        if entry.kind != "directory":
            raise Invalid(f"the archive makes its root a {entry.kind}")
        if self._placing is not None:  # the folder was there before, and stays what it is
            return
        set_attributes(self._folders.top, entry)
        self._folders.time(b"", entry.mtime)

    def _make_file(self, entry: Entry, directory: int, name: bytes, path: bytes) -> None:
        try:
            file = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
        except FileExistsError:
            self._folders.remove(directory, name, path)
            file = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
        try:
            if entry.extents is None:
                for piece in self._reader.data_of(path):
                    write_all(file, piece)
            else:
                for offset, length in entry.extents:
                    os.lseek(file, offset, os.SEEK_SET)
                    for piece in self._reader.part(length):
                        write_all(file, piece)
                os.ftruncate(file, entry.length)
            set_attributes(file, entry)
            os.utime(file, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(file)

    def _make_directory(self, entry: Entry, directory: int, name: bytes, path: bytes) -> None:
        lifted = False
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                lifted = self._whiteouts.lift(directory, name)
                if not lifted:
                    self._folders.remove(directory, name, path)
                os.mkdir(name, 0o700, dir_fd=directory)
        opened = open_directory(directory, name, mounts=self._placing is not None)
        self._folders.keep(path, opened)
        self._folders.time(path, entry.mtime)
        set_attributes(opened, entry)
        if lifted:
            self._whiteouts.replaced(opened)

    def _make_hardlink(self, entry: Entry, directory: int, name: bytes, path: bytes) -> None:
        target = self._inside(entry.link)
        parent, _, last = target.rpartition(b"/")
        try:
            found = os.stat(last, dir_fd=self._folders.find(parent), follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                raise Invalid(f"{_shown(path)}: the archive makes it a hard link to a directory")
            if self._is_same(found, directory, name):
                return
            try:
                self._link(parent, last, directory, name)
            except FileExistsError:
                self._folders.remove(directory, name, path)
                self._link(parent, last, directory, name)
        except FileNotFoundError as error:
            message = f"{_shown(path)}: it is a hard link to {_shown(target)}, which the archive has not brought before"
            raise Invalid(message) from error

    def _is_same(self, found: os.stat_result, directory: int, name: bytes) -> bool:
        try:
            return os.path.samestat(found, os.stat(name, dir_fd=directory, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _link(self, parent: bytes, last: bytes, directory: int, name: bytes) -> None:
        source = self._folders.find(parent)
        os.link(last, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)

    def _make_other(self, entry: Entry, directory: int, name: bytes, path: bytes) -> None:
        """A link, device or fifo: known by name only, for opening one may do something."""
        try:
            make_node(entry, directory, name)
        except FileExistsError:
            self._folders.remove(directory, name, path)
            make_node(entry, directory, name)
        set_attributes_by_name(entry, directory, name)


def _check_kind(entry: Entry, directory: int, path: bytes, folder: bytes) -> None:
    try:
        found = stat.S_ISDIR(os.stat(path.rpartition(b"/")[2], dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return
    wanted = entry.kind == "directory"
    if found != wanted:
        kinds = ("non-directory", "directory")
        raise Invalid(f'cannot overwrite {kinds[found]} "/{_shown(path)}" with {kinds[wanted]} "/{_shown(folder)}"')


def _inside(name: bytes) -> bytes:
    """The path below the tree's root that an entry's name means. Raises `Invalid` if it leads out or is no name."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise Invalid(f"{_shown(name)}: the archive has an entry that leads out of its tree")
    if b"\0" in name:
        raise Invalid(f"{_shown(name)}: the archive has a name with a zero byte")
    path = b"/".join(parts)
    if len(path) >= _PATH_MAX:
        raise Invalid(f"{_shown(name)}: the archive has a name that is too long: {len(path)} bytes")
    return path


def _explained(name: bytes, error: OSError) -> WherryError:
    kind = Invalid if error.errno in _CAUSED else Failed
    return kind(f"{_shown(name)}: this entry of the archive cannot be made: {os.strerror(error.errno or errno.EIO)}")


def _shown(name: bytes) -> str:
    return name[:200].decode("utf-8", "backslashreplace")
