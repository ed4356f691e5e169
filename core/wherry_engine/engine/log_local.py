"""Records as the `local` format has them, ours and Docker's: see wherry_engine.monitor.local_records for how they look."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

from wherry.model.logs import Record
from wherry_engine.monitor.local_records import AROUND, LENGTH, walk, whole

_CHUNK = 1 << 18  # more than the longest record has
_FIRST = 18  # bytes of stream and time: 2 + 6 and 1 + 9, from the year 1972 on
_STREAM, _TIME, _TEXT, _IS_PART, _WHICH, _IS_LAST = 1, 2, 3, 4, 5, 1
_TEXT_BEGINS = b"\x1a"  # field 3, bytes

Stream = Literal["stdout", "stderr"]
_STREAMS: Mapping[bytes, Stream] = {b"stdout": "stdout", b"stderr": "stderr"}


def cut(data: bytes) -> tuple[list[bytes], int]:
    """The whole records at the head of these bytes, and how many bytes they take."""
    found = list(walk(data))
    return [data[begin:end] for begin, end in found], found[-1][1] if found else 0


def last(fd: int, size: int, count: int) -> tuple[int, int]:
    """Where the last `count` records begin in a file of this size, and how many there are up to `count`."""
    at, found = whole(fd, size), 0
    while at and found < count:
        base = max(0, at - _CHUNK)
        block = os.pread(fd, at - base, base)
        begins = _backwards(block, count - found)
        if not begins:  # something stands between that is no record
            return _last_of_all(fd, size, count)
        at, found = base + begins[-1], found + len(begins)
    return at, found


def record(frame: bytes) -> Record | None:
    """One record; None for what is none of a container's output."""
    message = frame[LENGTH.size : -LENGTH.size]
    try:
        moment = _moment(message[:_FIRST])
        if moment is not None and message[_FIRST : _FIRST + 1] == _TEXT_BEGINS:
            size, at = _number(message, _FIRST + 1)
            if at + size == len(message):  # nothing more: a whole line
                return Record(moment[1], moment[0], message[at:] + b"\n")
        return _record(message)
    except (IndexError, KeyError, ValueError):
        return None


def _record(message: bytes) -> Record:
    """Any message of this kind. Raises IndexError, KeyError or ValueError for others."""
    stream, time_ns, text, ended = b"", 0, b"", True
    for field, value in _fields(message):
        if field == _STREAM and isinstance(value, bytes):
            stream = value
        elif field == _TIME and isinstance(value, int):
            time_ns = value
        elif field == _TEXT and isinstance(value, bytes):
            text = value
        elif field == _IS_PART:
            ended = not value
        elif field == _WHICH and isinstance(value, bytes):
            ended = (_IS_LAST, 1) in _fields(value)
    return Record(time_ns, _STREAMS[stream], text + b"\n" if ended else text)


@lru_cache(maxsize=64)  # lines of one moment come together
def _moment(first: bytes) -> tuple[Stream, int] | None:
    """Stream and time, if these bytes are just that; None where another writer has them in another way."""
    try:
        (name, stream), (of_time, time_ns) = _fields(first)
    except (IndexError, ValueError):
        return None
    if (name, of_time) != (_STREAM, _TIME) or not isinstance(stream, bytes) or not isinstance(time_ns, int):
        return None
    return (_STREAMS[stream], time_ns) if stream in _STREAMS else None


def _fields(message: bytes, at: int = 0) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message: a number or bytes. Raises IndexError or ValueError."""
    while at < len(message):
        key, at = _number(message, at)
        value, at = _number(message, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and at + value <= len(message):
            yield key >> 3, message[at : at + value]
            at += value
        else:
            raise ValueError("not a field of a record")


def _number(message: bytes, at: int) -> tuple[int, int]:
    """The number that stands here, and where it ends. Raises IndexError."""
    byte = message[at]
    number, shift = byte & 127, 7
    while byte > 127:
        at += 1
        byte = message[at]
        number |= (byte & 127) << shift
        shift += 7
    return number, at + 1


def _backwards(block: bytes, count: int) -> list[int]:
    """Where the last records of these bytes begin, from the last one on."""
    begins: list[int] = []
    end = len(block)
    while end >= AROUND and len(begins) < count:
        begin = end - AROUND - LENGTH.unpack_from(block, end - LENGTH.size)[0]
        if begin < 0 or next(walk(block[begin:end]), None) != (0, end - begin):
            break
        begins.append(end := begin)
    return begins


def _last_of_all(fd: int, size: int, count: int) -> tuple[int, int]:
    begins: list[int] = []
    data, start = b"", 0
    while more := os.pread(fd, min(_CHUNK, size - start - len(data)), start + len(data)):
        data += more
        found = list(walk(data))
        begins = [*begins, *(start + begin for begin, _ in found)][-count:]
        end = found[-1][1] if found else 0
        data, start = data[end:], start + end
    return begins[0] if begins else 0, len(begins)
