"""Writing tar archives of trees that somebody else made: ustar headers, PAX records where those are too small.

Sources: POSIX.1-2017 pax(1). Times are whole seconds, as Docker writes them. Names stay bytes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from wherry.linux.openat2 import open_directory
from wherry.linux.output import Output
from wherry.linux.trees import walk

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_TYPES = {
    stat.S_IFREG: b"0", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}  # fmt: skip
_KEPT = ("security.capability", "user.")  # attributes that belong to the file, not to this host's labels
_GONE = (errno.ENOENT, errno.ENXIO, errno.ELOOP, errno.ENOTDIR)


class TarWriter:
    """Writes entries, then `end`. Files with several names are written once and linked."""

    def __init__(self, target: int) -> None:
        self._out = Output(target)
        self._names: dict[tuple[int, int], bytes] = {}

    def tree(self, top: int, name: bytes | None, *, enter_mounts: bool) -> None:
        """The open directory `top` and all below it. Its own entry is `name`/, and theirs begin so; without a name it has none."""
        names = [b"" if name is None else name + b"/"]

        def enter(directory: int, below: bytes) -> list[bytes]:
            if below:
                names.append(names[-1] + below + b"/")
            if names[-1]:
                self.directory(directory, names[-1])
            found = sorted(map(os.fsencode, os.listdir(directory)))
            return [entry for entry in found if self.entry(directory, entry, names[-1] + entry)][::-1]

        def leave(parent: int, below: bytes) -> None:
            names.pop()

        opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=top)
        walk(opened, enter, leave, skip_mounts=not enter_mounts, enter_mounts=enter_mounts)

    def directory(self, opened: int, name: bytes) -> None:
        """An open directory, whose name ends in a slash, without what is in it."""
        self._out.write(header(name, os.fstat(opened), xattrs=_xattrs(opened)))

    def entry(self, directory: int, entry: bytes, name: bytes) -> bool:
        """The entry of a directory, as `name`; True if it is a directory, which is not written here. Sockets are left out."""
        try:
            found = os.stat(entry, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                return True
            if stat.S_ISSOCK(found.st_mode):
                return False
            if found.st_nlink > 1:
                first = self._names.setdefault((found.st_dev, found.st_ino), name)
                if first != name:
                    self._out.write(header(name, found, link=first, type_flag=b"1"))
                    return False
            if stat.S_ISREG(found.st_mode):
                self._file(directory, entry, name)
            elif stat.S_ISLNK(found.st_mode):
                self._out.write(header(name, found, link=os.readlink(entry, dir_fd=directory)))
            else:
                self._out.write(header(name, found))
        except OSError as error:
            if error.errno not in _GONE:
                raise
        return False

    def raw(self, name: bytes) -> None:
        """An empty file of root's: how layers mark what is not there any more."""
        self._out.write(header(name, os.stat_result((stat.S_IFREG | 0o600, 0, 0, 1, 0, 0, 0, 0, 0, 0))))

    def _file(self, directory: int, entry: bytes, name: bytes) -> None:
        opened = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode):  # it is another one by now
                return
            size = found.st_size
            self._out.write(header(name, found, size=size, xattrs=_xattrs(opened)))
            copied = self._out.copy(opened, size)
            while copied < size:  # it was cut meanwhile, and the header promised more
                piece = min(size - copied, 1 << 20)
                self._out.write(bytes(piece))
                copied += piece
            self._out.write(bytes(-size % _BLOCK))
        finally:
            os.close(opened)

    def end(self) -> None:
        """The archive is complete."""
        self._out.write(_END)
        self._out.flush()


def open_folder(directory: int, name: bytes) -> int:
    """A directory entry, opened for `tree`, also if something is mounted on it."""
    return open_directory(directory, name, mounts=True)


def _xattrs(opened: int) -> list[tuple[str, bytes]]:
    return [(key, os.getxattr(opened, key)) for key in os.listxattr(opened) if key.startswith(_KEPT)]


def header(
    name: bytes, found: os.stat_result, *, size: int = 0, link: bytes | str = b"", type_flag: bytes = b"",
    xattrs: Iterable[tuple[str, bytes]] = (),
) -> bytes:  # fmt: skip
    """The header of an entry, with the extended header that it needs."""
    link, mtime = os.fsencode(link), int(found.st_mtime)
    extra = [(b"SCHILY.xattr." + key.encode(), value) for key, value in xattrs]
    prefix, short = _split(name)
    numbers = {b"size": (size, 11), b"uid": (found.st_uid, 7), b"gid": (found.st_gid, 7), b"mtime": (mtime, 11)}
    fields = {}
    for key, (value, digits) in numbers.items():
        if not 0 <= value < 8**digits:
            extra.append((key, b"%d" % value))
            value = 0
        fields[key] = b"%0*o\0" % (digits, value)
    if short is None:
        extra.append((b"path", name))
        prefix, short = b"", name[-100:]
    if len(link) > 100:
        extra.append((b"linkpath", link))
    type_flag = type_flag or _TYPES[stat.S_IFMT(found.st_mode)]
    device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    major, minor = (os.major(found.st_rdev), os.minor(found.st_rdev)) if device else (0, 0)
    block = b"%-100b%07o\0%b%b%b%b        %b%-100bustar\00000%64b%07o\0%07o\0%-155b%12b" % (
        short.ljust(100, b"\0"), stat.S_IMODE(found.st_mode), fields[b"uid"], fields[b"gid"], fields[b"size"],
        fields[b"mtime"], type_flag, link[:100].ljust(100, b"\0"), bytes(64), major, minor, prefix.ljust(155, b"\0"),
        bytes(12),
    )  # fmt: skip
    return (_extended(extra) if extra else b"") + _summed(block)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """(prefix, name) as ustar has room for; None for a name that has none."""
    if len(name) <= 100:
        return b"", name
    at = name.find(b"/", len(name) - 101, 156)
    return (name[:at], name[at + 1 :]) if 0 < at < len(name) - 1 else (b"", None)


def _extended(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    block = b"%-100b0000644\0000000000\0000000000\000%011o\00000000000000\0        x%100bustar\00000%247b" % (
        b"PaxHeaders.0/entry".ljust(100, b"\0"), len(data), bytes(100), bytes(247),
    )  # fmt: skip
    return _summed(block) + data + bytes(-len(data) % _BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %b=%b\n" % (key, value)
    length = len(body) + len(b"%d" % len(body))
    if len(b"%d" % length) + len(body) != length:
        length += 1
    return b"%d%b" % (length, body)


def _summed(block: bytes) -> bytes:
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
