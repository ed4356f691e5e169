"""The keys that detach a terminal."""

from __future__ import annotations

from wherry.errors import Invalid

DETACH = b"\x10\x11"  # ctrl-p, ctrl-q
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31} | {chr(97 + n): n + 1 for n in range(26)}


def detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,b` as the bytes that a terminal sends. Raises `Invalid`."""
    if not text:
        return b""
    return bytes(map(_key, text.split(",")))


def _key(name: str) -> int:
    control = name.removeprefix("ctrl-")
    if control != name and control in _CONTROL:
        return _CONTROL[control]
    if len(name) == 1 and name.isascii():
        return ord(name)
    raise Invalid(
        f"Invalid detach keys: unknown character: '{name}'; say a letter or ctrl- and one of a-z @ [ \\ ] ^ _"
    )
