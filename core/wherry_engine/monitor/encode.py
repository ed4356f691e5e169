"""A container's output as records of Docker's json-file format: a line each, a long line in parts of 16 KiB."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from json.encoder import encode_basestring

PART = (
    16384  # a record holds at most so many bytes of output; one that ends elsewhere than at a newline has none in "log"
)


def timestamp(now_ns: int) -> str:
    """RFC 3339 in UTC with as many digits of the second as are not zero."""
    seconds, rest = divmod(now_ns, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return text + (f".{rest:09d}".rstrip("0") if rest else "") + "Z"


def ending(stream: str, attributes: Mapping[str, str], now_ns: int) -> bytes:
    """What follows the text in a record: the stream, the attributes where there are any, and the time."""
    extra = f'"attrs":{json.dumps(attributes, separators=(",", ":"))},' if attributes else ""
    return f',"stream":"{stream}",{extra}"time":"{timestamp(now_ns)}"}}\n'.encode()


def complete(data: bytes, *, final: bool) -> int:
    """How many bytes from the start are whole records: lines and 16 KiB parts; with `final` everything is."""
    if final:
        return len(data)
    after = data.rfind(b"\n") + 1
    # a part begins where the line does, so that a successor who sees the rest alone cuts at the same places
    return after + (len(data) - after) // PART * PART


def encode(data: bytes, end: bytes) -> bytes:
    """Whole records (see `complete`) of this output, each with the same ending."""
    blocks: list[bytes] = []
    start = position = 0
    while position < len(data):
        newline = data.rfind(b"\n", position, position + PART)
        if newline >= 0:
            position = newline + 1
            continue
        if position > start:
            blocks.append(_lines(data[start:position], end))
        start = min(position + PART, len(data))
        blocks.append(b'{"log":"' + _escape(data[position:start]) + b'"' + end)
        position = start
    if position > start:
        blocks.append(_lines(data[start:position], end))
    return b"".join(blocks)


def length_of(data: bytes, records: int) -> int:
    """How many bytes of output the first so many of its records stand for."""
    position = 0
    for _ in range(records):
        newline = data.find(b"\n", position, position + PART)
        position = newline + 1 if newline >= 0 else min(position + PART, len(data))
    return position


def _lines(data: bytes, end: bytes) -> bytes:
    """Records of lines of which none is too long, encoded as one text: several times faster than one by one."""
    separator = b'\\n"' + end + b'{"log":"'
    text = _escape(data[:-1])
    if b"\\\\" in text:  # an escaped backslash may stand before an n; a raw NUL cannot occur, so it may stand in
        text = text.replace(b"\\\\", b"\0").replace(b"\\n", separator).replace(b"\0", b"\\\\")
    else:
        text = text.replace(b"\\n", separator)
    return b'{"log":"' + text + b'\\n"' + end


def _escape(data: bytes) -> bytes:
    return encode_basestring(data.decode("utf-8", "replace"))[1:-1].encode()
