"""What an extracted archive needs to be made again, byte for byte: everything but the contents of its files.

An image's layers are known by the digests of their archives, and no two programs write the same tree as the same bytes.
So the extraction keeps headers, padding and whatever else stood between the contents, compressed, and `join` puts the
contents, which lie in the tree, back between them.

The record is a zlib stream of pieces: "R", a length of 8 bytes (big-endian), and so many bytes of the archive as they
were; or "F", two lengths, and a path in the tree whose file has so many bytes: the second length.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from wherry.errors import Failed, Invalid
from wherry.linux.openat2 import openat2
from wherry.linux.output import Output

_LEVEL = 1  # headers are mostly zeros: higher levels take longer and gain little
_PIECE = 1 << 20


class Recorder:
    """Writes the record of one archive while that is extracted."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._pack = zlib.compressobj(_LEVEL)
        self._raw = bytearray()
        self._files: set[bytes] = set()
        self._folders: set[bytes] = set()  # that they lie in
        self.whole = True  # False: a later entry took the place of an earlier file, whose content is lost

    def raw(self, data: bytes) -> None:
        """The archive goes on with these bytes."""
        self._raw += data
        if len(self._raw) > _PIECE:
            self._end_raw()

    def file(self, path: bytes, size: int) -> None:
        """The archive goes on with the content of this file, which is in the tree."""
        if not size:
            return
        self._end_raw()
        if path in self._files:
            self.whole = False
        self._files.add(path)
        folder = path.rpartition(b"/")[0]
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition(b"/")[0]
        self._write(b"F" + len(path).to_bytes(8, "big") + size.to_bytes(8, "big") + path)

    def removed(self, path: bytes) -> None:
        """The tree lost what it had at this path."""
        if path in self._files or path in self._folders:
            self.whole = False

    def end(self) -> None:
        """Write out what is left."""
        self._end_raw()
        self._target.write(self._pack.flush())
        self._target.flush()

    def _end_raw(self) -> None:
        if self._raw:
            self._write(b"R" + len(self._raw).to_bytes(8, "big") + self._raw)
            self._raw = bytearray()

    def _write(self, data: bytes) -> None:
        self._target.write(self._pack.compress(data))


def join(record: BinaryIO, root: int, target: int) -> None:
    """Write the recorded archive into the descriptor `target`, with the files of the directory `root`.

    Raises `Failed` if a file is not as it was extracted, `Invalid` if the record is damaged. Paths are looked up with
    the directory as root, so that links lead where they led the extraction.
    """
    out = Output(target)
    pieces = _Pieces(record)
    while kind := pieces.take(1, at_end=True):
        length = int.from_bytes(pieces.take(8), "big")
        if kind == b"R":
            for data in pieces.up_to(length):
                out.write(data)
        elif kind == b"F":
            size = int.from_bytes(pieces.take(8), "big")
            _copy_file(out, root, pieces.take(length), size)
        else:
            raise Invalid("the record of the archive is damaged")
    out.flush()


class _Pieces:
    """The record's bytes, unpacked as they are needed."""

    def __init__(self, record: BinaryIO) -> None:
        self._record = record
        self._unpack = zlib.decompressobj()
        self._data = b""
        self._at = 0

    def take(self, count: int, *, at_end: bool = False) -> bytes:
        """Exactly `count` bytes; b"" at the end, if that may be here."""
        while len(self._data) - self._at < count:
            more = self._record.read(_PIECE)
            if not more:
                if at_end and self._at == len(self._data):
                    return b""
                raise Invalid("the record of the archive is incomplete")
            try:
                self._data = self._data[self._at :] + self._unpack.decompress(more)
            except zlib.error as error:
                raise Invalid(f"the record of the archive is damaged: {error}") from error
            self._at = 0
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def up_to(self, length: int) -> Iterator[bytes]:
        """`length` bytes, in pieces."""
        while length:
            data = self.take(min(length, _PIECE))
            length -= len(data)
            yield data


def _copy_file(out: Output, root: int, path: bytes, size: int) -> None:
    try:
        opened = openat2(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise Failed(f"{_shown(path)}: the layer no longer has this file: {error.strerror}") from error
    try:
        if os.fstat(opened).st_size != size or out.copy(opened, size) != size:
            raise Failed(f"{_shown(path)}: the layer's file is not the one that was extracted")
    finally:
        os.close(opened)


def _shown(path: bytes) -> str:
    return path[:200].decode("utf-8", "backslashreplace")
