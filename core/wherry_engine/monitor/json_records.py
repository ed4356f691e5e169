"""Records of Docker's json-file format: a JSON object a line. One that ends elsewhere than at a newline has none in "log"."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from json.encoder import encode_basestring

from wherry_engine.monitor.cuts import blocks

_BLOCK = 1 << 20


def timestamp(now_ns: int) -> str:
    """RFC 3339 in UTC with as many digits of the second as are not zero."""
    seconds, rest = divmod(now_ns, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return text + (f".{rest:09d}".rstrip("0") if rest else "") + "Z"


def in_common(stream: str, attributes: Mapping[str, str], now_ns: int) -> bytes:
    """What follows the text in a record: the stream, the attributes where there are any, and the time."""
    extra = f'"attrs":{json.dumps(attributes, separators=(",", ":"))},' if attributes else ""
    return f',"stream":"{stream}",{extra}"time":"{timestamp(now_ns)}"}}\n'.encode()


def encode(data: bytes, end: bytes) -> bytes:
    """Whole records (see `cuts.complete`) of this output, each with the same ending."""
    return b"".join(
        _lines(block, end) if lines else b'{"log":"' + _escape(block) + b'"' + end for block, lines in blocks(data)
    )


def fit(records: bytes, room: int) -> tuple[int, int]:
    """How many bytes and how many of these records go where there is room for so many bytes: one may reach beyond."""
    size = records.find(b"\n", max(0, room - 1)) + 1
    return size, records.count(b"\n", 0, size)


def whole(fd: int, size: int) -> int:
    """The size without a record at the end that a lost host has torn."""
    if not size or os.pread(fd, 1, size - 1) == b"\n":
        return size
    start = max(0, size - _BLOCK)
    return start + os.pread(fd, size - start, start).rfind(b"\n") + 1


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
