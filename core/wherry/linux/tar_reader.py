"""Reading a tar archive as a stream: ustar, PAX and GNU headers, sparse files included.

Sources: POSIX.1-2017 pax(1), "ustar Interchange Format" and "pax Extended Header"; the GNU tar manual, "Basic Tar
Format" and "Storing Sparse Files". Names stay bytes. Whatever is not as the formats say raises `Invalid`, nothing else:
an archive comes from a stranger.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Literal, NamedTuple

from wherry.errors import Invalid
from wherry.linux.tar_fields import Records, check_sum, decimal, extended_attributes, nanoseconds, number, records, text
from wherry.linux.tar_record import Recorder
from wherry.linux.tar_sparse import Extent, check_extents, extents_in_data, extents_in_header, extents_in_records

Kind = Literal["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]

_BLOCK = 512
_CHUNK = 1 << 20
_METADATA = 1 << 20  # no sane archive has a larger extension header
_KINDS: dict[bytes, Kind] = {
    b"0": "file", b"\0": "file", b"7": "file", b"S": "file", b"1": "hardlink", b"2": "symlink", b"3": "character",
    b"4": "block", b"5": "directory", b"6": "fifo", b"D": "directory",
}  # fmt: skip
_WITH_DATA = b"0\x007SD"  # for the other kinds the size says nothing of what follows
_EXTENSIONS = b"xXgLKV"
_ZEROS = bytes(_BLOCK)
_HIGHEST_ID = 0xFFFFFFFE  # one more means "unchanged" to chown(2)


class Entry(NamedTuple):
    """One member. `extents` say where its data belongs if the file is sparse; `length` is that of the whole file."""

    name: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int  # nanoseconds
    link: bytes
    device: tuple[int, int]
    length: int
    xattrs: list[tuple[str, bytes]]
    extents: list[Extent] | None


class Reader:
    """Iterate over the entries; `data` gives what nobody has taken yet of the current one's bytes.

    A recorder is told all that is read, so that the archive can be made again.
    """

    def __init__(self, stream: int | IO[bytes], recorder: Recorder | None = None) -> None:
        self._stream = _opened(stream) if isinstance(stream, int) else stream
        self._recorder = recorder
        self._unread = 0  # of the current entry's data
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        general: Records = {}
        special: Records = {}
        while (header := self._header()) is not None:
            kind = header[156:157]
            if kind not in _EXTENSIONS:
                yield self._entry(header, general | special if general else special)
                special = {}
                continue
            data = self._metadata(header)
            if kind == b"g":
                general |= records(data)
            elif kind == b"L":
                special[b"path"] = text(data)
            elif kind == b"K":
                special[b"linkpath"] = text(data)
            elif kind != b"V":  # a volume's label is no file
                special |= records(data)
        if special:
            raise Invalid("the archive is incomplete: it ends before an entry that it announced")

    def data(self) -> Iterator[bytes]:
        """The current entry's data, in pieces of up to a mebibyte."""
        while self._unread:
            count = min(self._unread, _CHUNK)
            self._unread -= count
            yield self.take(count)

    def data_of(self, path: bytes) -> Iterator[bytes]:
        """As `data`; the caller puts all of it into the file `path`, so the record need not hold it."""
        if self._recorder is None:
            yield from self.data()
            return
        self._recorder.file(path, self._unread)
        while self._unread:
            count = min(self._unread, _CHUNK)
            self._unread -= count
            yield self._read(count)

    def part(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes of the current entry's data."""
        rest, self._unread = self._unread - length, length
        yield from self.data()
        self._unread = rest

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes of the archive. Raises `Invalid` if it ends before."""
        data = self._read(count)
        self._note(data)
        return data

    def _note(self, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.raw(data)

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        while len(data) < count:  # an unbuffered stream gives what it has
            more = self._stream.read(count - len(data))
            if not more:
                raise Invalid("the archive is incomplete: it ends in the middle of an entry")
            data += more
        return data

    def drain(self) -> None:
        """Read what follows the archive's end, so that who writes into the pipe can finish."""
        while data := self._stream.read(_CHUNK):
            self._note(data)

    def _header(self) -> bytes | None:
        """The next header, or None at the end, which is a block of zeros or the stream's."""
        for _ in self.data():
            pass
        if self._padding:
            self.take(self._padding)
            self._padding = 0
        header = self._stream.read(_BLOCK)
        self._note(header)
        if not header or header == _ZEROS:
            return None
        if len(header) < _BLOCK:
            header += self.take(_BLOCK - len(header))
        check_sum(header)
        return header

    def _metadata(self, header: bytes) -> bytes:
        size = number(header[124:136], "size")
        if not 0 <= size <= _METADATA:
            raise Invalid(f"the archive has an extension header of {size} bytes")
        data = self.take(size)
        self._padding = -size % _BLOCK
        return data

    def _entry(self, header: bytes, extra: Records) -> Entry:
        type_flag = header[156:157]
        name = extra.get(b"path") or _name(header)
        kind = _KINDS.get(type_flag)
        if kind is None:
            raise Invalid(f"{_shown(name)}: the archive has an entry of type {type_flag!r}, which is not known here")
        size = 0
        if type_flag in _WITH_DATA:
            size = decimal(extra[b"size"], "size") if b"size" in extra else number(header[124:136], "size")
        if size < 0:
            raise Invalid(f"{_shown(name)}: the archive gives it a negative size")
        self._unread, self._padding = size, -size % _BLOCK
        length, extents = size, None
        if type_flag == b"S" or b"GNU.sparse.map" in extra or b"GNU.sparse.major" in extra:
            length, extents = self._sparse(type_flag, header, extra)
            name = extra.get(b"GNU.sparse.name") or name
        if kind == "file" and name.endswith(b"/"):  # how the oldest archives mark a directory
            kind = "directory"
        return Entry(
            name=name,
            kind=kind,
            mode=number(header[100:108], "mode") & 0o7777,
            uid=_id(extra, b"uid", header[108:116]),
            gid=_id(extra, b"gid", header[116:124]),
            mtime=nanoseconds(extra[b"mtime"]) if b"mtime" in extra else _seconds(header[136:148]),
            link=(extra.get(b"linkpath") or text(header[157:257])) if kind in ("symlink", "hardlink") else b"",
            device=_device(header) if kind in ("character", "block") else (0, 0),
            length=length,
            xattrs=extended_attributes(extra) if extra else [],
            extents=extents,
        )

    def _sparse(self, type_flag: bytes, header: bytes, extra: Records) -> tuple[int, list[Extent]]:
        if type_flag == b"S":
            extents, length = extents_in_header(header, self.take)
        elif b"GNU.sparse.map" in extra:
            extents = extents_in_records(extra)
            length = decimal(extra.get(b"GNU.sparse.size", b""), "real size")
        else:
            extents, taken = extents_in_data(self.take)
            self._unread -= taken
            length = decimal(extra.get(b"GNU.sparse.realsize", b""), "real size")
        check_extents(extents, self._unread, length)
        return length, extents


def _opened(descriptor: int) -> IO[bytes]:
    return io.BufferedReader(io.FileIO(descriptor, closefd=False), _CHUNK)


def _name(header: bytes) -> bytes:
    name = text(header[:100])
    prefix = text(header[345:500]) if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _shown(name: bytes) -> str:
    return name[:200].decode("utf-8", "backslashreplace")


def _id(extra: Records, key: bytes, field: bytes) -> int:
    value = decimal(extra[key], "owner") if key in extra else number(field, "owner")
    if not 0 <= value <= _HIGHEST_ID:
        raise Invalid(f"the archive has an entry owned by {value}, which is no user or group id")
    return value


def _seconds(field: bytes) -> int:
    seconds = number(field, "time")
    if abs(seconds) >= 1 << 62:
        raise Invalid(f"the archive has an entry of the time {seconds}")
    return seconds * 10**9


def _device(header: bytes) -> tuple[int, int]:
    major, minor = number(header[329:337], "device"), number(header[337:345], "device")
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise Invalid(f"the archive has a device {major}:{minor}, which Linux does not have")
    return major, minor
