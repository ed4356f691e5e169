"""Records as the json-file format has them: a JSON object a line."""

from __future__ import annotations

import os
import re
from calendar import timegm
from functools import lru_cache
from time import strptime

import orjson

from wherry.model.logs import Record

_CHUNK = 1 << 18
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


def cut(data: bytes) -> tuple[list[bytes], int]:
    """The whole records at the head of these bytes, and how many bytes they take."""
    size = data.rfind(b"\n") + 1
    return data[:size].splitlines(keepends=True), size


def last(fd: int, size: int, count: int) -> tuple[int, int]:
    """Where the last `count` records begin in a file of this size, and how many there are up to `count`."""
    start, missing = size, count + 1
    while start > 0:
        length = min(_CHUNK, start)
        start -= length
        block = os.pread(fd, length, start)
        feeds = block.count(b"\n")
        if feeds >= missing:
            at = len(block)
            for _ in range(missing):
                at = block.rindex(b"\n", 0, at)
            return start + at + 1, count
        missing -= feeds
    return 0, count + 1 - missing


def record(text: bytes) -> Record | None:
    """One record; None for what is none."""
    try:
        entry = orjson.loads(text)
        return Record(parse_time(entry["time"]), entry["stream"], entry["log"].encode())
    except (ValueError, KeyError, TypeError):  # torn when its writer was killed
        return None


def parse_time(text: str) -> int:
    """RFC 3339 with up to nine decimals, in UTC, as ns since the epoch. Raises ValueError."""
    if len(text) == 30 and text[19] == "." and text[29] == "Z":  # as the monitor writes it: a third of the time
        return _second(text[:19]) * 1_000_000_000 + int(text[20:29])
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time")
    second, fraction = match.groups()
    return _second(second) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


@lru_cache(maxsize=64)  # lines of one second come together
def _second(text: str) -> int:
    return timegm(strptime(text, "%Y-%m-%dT%H:%M:%S"))
