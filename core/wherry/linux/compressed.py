"""Streams that may be compressed: known by how they begin (RFC 1952, the .xz file format, bzip2)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, cast

Unpack = Callable[[IO[bytes]], IO[bytes]]

FORMATS: dict[bytes, Unpack] = {
    b"\x1f\x8b": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file)),
    b"\xfd7zXZ\0": lambda file: cast(IO[bytes], lzma.LZMAFile(file, format=lzma.FORMAT_XZ)),  # noqa: SIM115  the caller closes
    b"BZh": lambda file: cast(IO[bytes], bz2.BZ2File(file)),
}
MAGIC = 6  # bytes; the longest of those

# What reading damaged data raises, besides an OSError without a number, which is bz2's.
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)


def is_damage(error: Exception) -> bool:
    """Whether an error says that compressed data is damaged or incomplete."""
    return isinstance(error, DAMAGED) or (type(error) is OSError and error.errno is None)


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """The plain bytes of a file or pipe, which must be buffered."""
    assert isinstance(file, io.BufferedReader)
    start = file.peek(MAGIC)
    for magic, unpack in FORMATS.items():
        if start.startswith(magic):
            return unpack(file)
    return file
