"""JSON as Docker's clients print it: compact, keys sorted or kept, and texts that are re-indented without decoding."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def compact(value: Any, *, escape: bool = False, sort: bool = False) -> str:
    """One line without spaces. `escape` writes <, > and & as Go's encoder does by default."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort, default=_plain)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e") if escape else text


def _plain(value: object) -> object:
    plain = getattr(value, "plain", None)
    if plain is None:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    return plain()


def squeeze(text: str) -> str:
    """JSON text without the spaces between its tokens."""
    return "".join(_TOKEN.findall(text))


def indent(text: str, step: str = "    ") -> str:
    """JSON text with one item a line; every token stays as it was written."""
    out: list[str] = []
    depth, opened = 0, False
    for token in _TOKEN.findall(text):
        if token in "}]":
            depth -= 1
            if not opened:
                out.append("\n" + step * depth)
            opened = False
            out.append(token)
            continue
        if opened:
            out.append("\n" + step * depth)
            opened = False
        if token in "{[":
            depth += 1
            opened = True
            out.append(token)
        elif token == ",":
            out.append(",\n" + step * depth)
        elif token == ":":
            out.append(": ")
        else:
            out.append(token)
    return "".join(out)
