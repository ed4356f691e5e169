"""Records of Docker's `local` format: compact, with each record's length before and after it, and any byte as it was said.

Between two equal lengths (4 bytes, the first most significant) stands a protobuf message of Docker's: 1 the stream, 2 the
time in ns, 3 the text without its newline, 4 whether that is a part of a line, 5 of which line, which is left empty here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from itertools import groupby

from wherry_engine.monitor.cuts import blocks

LENGTH = struct.Struct(">I")
AROUND = 2 * LENGTH.size
BEGINNING = b"\x0a\x06std"  # of every message: both streams have names of six letters; a newline is in no text
_TIME, _TEXT, _IS_PART = b"\x10", b"\x1a", b"\x20\x01\x2a\x00"
_BLOCK = 1 << 20
_LONGEST = 1 << 17  # bytes of a message: far more than ours and Docker's have; a length beyond that is none


def in_common(stream: str, attributes: Mapping[str, str], now_ns: int) -> bytes:
    """What each record of this moment has in common: stream and time. There is no place for attributes."""
    return b"\x0a\x06" + stream.encode() + _TIME + varint(now_ns)


def encode(data: bytes, common: bytes) -> bytes:
    """Whole records (see `cuts.complete`) of this output, each of the same stream and time."""
    pieces: list[bytes] = []
    frames = _Frames(common)
    for block, whole_lines in blocks(data):
        if whole_lines:
            for size, lines in groupby(block[:-1].split(b"\n"), len):  # neighbours of one length are joined at once
                before, after = frames[size]
                pieces += (before, (after + before).join(lines), after)
        else:
            pieces += _part(common, block)
    return b"".join(pieces)


def fit(records: bytes, room: int) -> tuple[int, int]:
    """How many bytes and how many of these records go where there is room for so many bytes: one may reach beyond."""
    size = count = 0
    while size < max(1, room):
        size += LENGTH.unpack_from(records, size)[0] + AROUND
        count += 1
    return size, count


def whole(fd: int, size: int) -> int:
    """The size without what is torn at the end. The whole file is looked through only where its end is no record's."""
    start = max(0, size - _LONGEST - AROUND)
    block = os.pread(fd, size - start, start)
    if len(block) >= AROUND:
        begin = len(block) - AROUND - LENGTH.unpack_from(block, len(block) - LENGTH.size)[0]
        if begin >= 0 and next(walk(block[begin:]), None) == (0, len(block) - begin):
            return size
    block, start = b"", 0
    while more := os.pread(fd, min(_BLOCK, size - start - len(block)), start + len(block)):
        block += more
        end = max((end for _, end in walk(block)), default=0)
        block, start = block[end:], start + end
    return start


def walk(block: bytes) -> Iterator[tuple[int, int]]:
    """(begin, end) of the whole records from here on. What is none is left out: no text holds what a record begins with."""
    at = 0
    while at + AROUND <= len(block):
        (length,) = LENGTH.unpack_from(block, at)
        end = at + AROUND + length
        if (
            length <= _LONGEST
            and end <= len(block)
            and block.startswith(BEGINNING, at + LENGTH.size)
            and block[end - LENGTH.size : end] == block[at : at + LENGTH.size]
        ):
            yield at, end
            at = end
            continue
        begins = block.find(BEGINNING, at + LENGTH.size + 1)
        if begins < 0:
            return
        at = begins - LENGTH.size


def varint(number: int) -> bytes:
    """A number as protobuf writes it: 7 bits a byte, the lowest first, the high bit set where more follow."""
    text = bytearray()
    while number > 127:
        text.append(number & 127 | 128)
        number >>= 7
    text.append(number)
    return bytes(text)


class _Frames(dict[int, tuple[bytes, bytes]]):
    """What stands before and after a whole line of so many bytes; most lines of a moment are of few lengths."""

    def __init__(self, common: bytes) -> None:
        self._common = common

    def __missing__(self, size: int) -> tuple[bytes, bytes]:
        before = self._common + (_TEXT + varint(size) if size else b"")
        length = LENGTH.pack(len(before) + size)
        self[size] = frame = (length + before, length)
        return frame


def _part(common: bytes, text: bytes) -> tuple[bytes, ...]:
    before = common + _TEXT + varint(len(text))
    length = LENGTH.pack(len(before) + len(text) + len(_IS_PART))
    return length, before, text, _IS_PART, length
