"""Where a container's output is cut into records: a line each, a long line in parts of 16 KiB, in every format."""

from __future__ import annotations

from collections.abc import Iterator

PART = 16384  # a record holds at most so many bytes of output


def complete(data: bytes, *, final: bool) -> int:
    """How many bytes from the start are whole records: lines and 16 KiB parts; with `final` everything is."""
    if final:
        return len(data)
    after = data.rfind(b"\n") + 1
    # a part begins where the line does, so that a successor who sees the rest alone cuts at the same places
    return after + (len(data) - after) // PART * PART


def head(data: bytes, size: int) -> bytes:
    """The first records' output, so many bytes or somewhat more: a record is never shorter than what it stands for."""
    if len(data) <= size + PART:
        return data
    return data[: complete(data[: size + PART], final=False)]


def length_of(data: bytes, records: int) -> int:
    """How many bytes of output the first so many of its records stand for."""
    position = 0
    for _ in range(records):
        newline = data.find(b"\n", position, position + PART)
        position = newline + 1 if newline >= 0 else min(position + PART, len(data))
    return position


def blocks(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """The same output in few pieces: (lines of which none is too long, True) and (one part of a line, False)."""
    start = position = 0
    while position < len(data):
        newline = data.rfind(b"\n", position, position + PART)
        if newline >= 0:
            position = newline + 1
            continue
        if position > start:
            yield data[start:position], True
        start = min(position + PART, len(data))
        yield data[position:start], False
        position = start
    if position > start:
        yield data[start:position], True
