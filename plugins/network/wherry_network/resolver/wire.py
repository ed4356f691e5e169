"""DNS messages, as far as the resolver must understand them: questions, and answers of its own. RFC 1035, RFC 6891.

Messages from and to other servers are passed on as they are. A library would parse and build all of them anew: dnspython
takes 13 MB and 60 ms to be loaded, and three times as long for a query.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

A, PTR, AAAA, OPT = 1, 12, 28, 41
IN = 1
NOERROR, FORMERR, SERVFAIL, NOTIMP, REFUSED = 0, 1, 2, 4, 5
SHORTEST = 512  # bytes that every client takes by UDP
LONGEST = 65535
TTL = 5  # seconds: names follow containers that come and go
_HEADER = struct.Struct(">6H")
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_TO_QUESTION = b"\xc0\x0c"  # a name: that of the question
_OUR_SIZE = 1232  # bytes of a UDP message that no path cuts


class Malformed(Exception):
    """No proper query; its data, if any, is the answer that it deserves."""

    @property
    def answer(self) -> bytes:
        """What to send back, b"" for nothing."""
        return bytes(self.args[0]) if self.args else b""


class Question(NamedTuple):
    """A query of one question."""

    id: int
    flags: int
    name: str  # lower case, without the last dot
    type: int
    cls: int
    raw: bytes  # the question as it came
    size: int  # bytes that a UDP answer may have
    extended: bool  # whether it speaks EDNS


def parse(data: bytes) -> Question:
    """A query. Raises Malformed."""
    if len(data) < _HEADER.size:
        raise Malformed
    id, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & _RESPONSE:
        raise Malformed  # answering an answer could go on for ever
    if flags & _OPCODE:
        raise Malformed(_head(id, flags, NOTIMP))
    if questions != 1 or answers or authorities:
        raise Malformed(_head(id, flags, FORMERR))
    try:
        labels, end = _labels(data, _HEADER.size)
        type, cls = struct.unpack_from(">2H", data, end)
        end += 4
        size = _edns_size(data, end, additional)
    except (ValueError, IndexError, struct.error):
        raise Malformed(_head(id, flags, FORMERR)) from None
    name = ".".join(label.decode("latin-1").replace(".", "\\.") for label in labels).lower()
    return Question(id, flags, name, type, cls, data[_HEADER.size : end], size or SHORTEST, bool(size))


def _labels(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The labels of an uncompressed name, and where it ends."""
    found: list[bytes] = []
    begun = at
    while length := data[at]:
        if length > 63 or at + length >= len(data):
            raise ValueError("not a label")
        found.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    if at + 1 - begun > 255:
        raise ValueError("too long")
    return found, at + 1


def _edns_size(data: bytes, at: int, records: int) -> int:
    """What the client takes by UDP, as its OPT record says; 0 if there is none."""
    size = 0
    for _ in range(records):
        _, at = _labels(data, at)
        type, cls, _, length = struct.unpack_from(">HHIH", data, at)
        at += 10 + length
        if at > len(data):
            raise ValueError("cut off")
        if type == OPT:
            size = max(cls, SHORTEST)
    return size


def _head(id: int, flags: int, code: int, counts: tuple[int, int, int] = (0, 0, 0), truncated: int = 0) -> bytes:
    kept = flags & (_OPCODE | _RECURSION_DESIRED)
    return _HEADER.pack(
        id, _RESPONSE | kept | _RECURSION_AVAILABLE | truncated | code, counts[0], counts[1], 0, counts[2]
    )


def answer(question: Question, records: Sequence[bytes], room: int) -> bytes:
    """The answer with as many of these records as `room` bytes allow; one with less is marked as truncated."""
    extra = b"\0" + struct.pack(">HHIH", OPT, _OUR_SIZE, 0, 0) if question.extended else b""
    left = room - _HEADER.size - len(question.raw) - len(extra)
    fit: list[bytes] = []
    for record in records:
        if len(record) > left:
            break
        left -= len(record)
        fit.append(record)
    truncated = _TRUNCATED if len(fit) < len(records) else 0
    head = _head(question.id, question.flags, NOERROR, (1, len(fit), len(extra) > 0), truncated)
    return b"".join((head, question.raw, *fit, extra))


def failure(question: Question, code: int = SERVFAIL) -> bytes:
    """An answer that says so."""
    return _head(question.id, question.flags, code, (1, 0, 0)) + question.raw


def address_record(address: bytes) -> bytes:
    """An A or AAAA record for the name that was asked for."""
    return _record(A if len(address) == 4 else AAAA, address)


def pointer_record(name: str) -> bytes:
    """A PTR record. Raises ValueError for a name that DNS cannot carry."""
    encoded = b""
    for label in name.encode().split(b"."):
        if not 0 < len(label) < 64:
            raise ValueError(f"{name} cannot be a name in DNS")
        encoded += bytes([len(label)]) + label
    return _record(PTR, encoded + b"\0")


def _record(type: int, data: bytes) -> bytes:
    return _TO_QUESTION + struct.pack(">HHIH", type, IN, TTL, len(data)) + data


def with_id(data: bytes, id: int) -> bytes:
    """The same message under another number."""
    return id.to_bytes(2, "big") + data[2:]


def answers(data: bytes, id: int, question: Question) -> bool:
    """Whether this is an answer to that question under that number."""
    raw = question.raw
    if len(data) < _HEADER.size + len(raw) or int.from_bytes(data[:2], "big") != id or not data[2] & 0x80:
        return False
    echoed = data[_HEADER.size : _HEADER.size + len(raw)]
    return echoed[-4:] == raw[-4:] and echoed[:-4].lower() == raw[:-4].lower()


def code(data: bytes) -> int:
    """The response code of an answer."""
    return data[3] & 15


def reverse_address(name: str) -> bytes | None:
    """The address that a name below in-addr.arpa (IPv4) or ip6.arpa (IPv6, RFC 3596) asks about."""
    for zone, parse_parts in ((".in-addr.arpa", _octets), (".ip6.arpa", _nibbles)):
        if name.endswith(zone):
            return parse_parts(name.removesuffix(zone).split(".")[::-1])
    return None


def _octets(parts: Sequence[str]) -> bytes | None:
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() and int(part) < 256 for part in parts):
        return None
    return bytes(int(part) for part in parts)


def _nibbles(parts: Sequence[str]) -> bytes | None:
    if len(parts) != 32 or not all(len(part) == 1 and part in "0123456789abcdef" for part in parts):
        return None
    return bytes.fromhex("".join(parts))
