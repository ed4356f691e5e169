"""The functions of templates: Go's own and those that Docker adds."""

from __future__ import annotations

from wherry_cli.output.template.values import element, encode, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def functions() -> dict[str, Callable[..., Any]]:
    """All of them by name."""
    return {
        "and": lambda *values: next((value for value in values if not value), values[-1]),
        "or": lambda *values: next((value for value in values if value), values[-1]),
        "not": lambda value: not value,
        "len": len,
        "index": _index,
        "slice": lambda value, *bounds: value[slice(*(bounds if len(bounds) > 1 else (*bounds, None)))],
        "print": _print,
        "printf": printf,
        "println": lambda *values: " ".join(map(show, values)) + "\n",
        "eq": lambda first, *others: any(first == other for other in others),
        "ne": lambda first, second: first != second,
        "lt": lambda first, second: first < second,
        "le": lambda first, second: first <= second,
        "gt": lambda first, second: first > second,
        "ge": lambda first, second: first >= second,
        "json": encode,
        "split": lambda text, separator: text.split(separator),
        "join": lambda items, separator: separator.join(map(show, items)),
        "title": _title,
        "lower": lambda text: text.lower(),
        "upper": lambda text: text.upper(),
        "pad": lambda text, left, right: " " * left + text + " " * right if text else text,
        "truncate": lambda text, width: text[:width],
        "html": _html,
        "urlquery": _urlquery,
    }


def header_functions() -> dict[str, Callable[..., Any]]:
    """The functions for the head of a table, where a column's head must come out as it is."""
    same = ("json", "split", "join", "title", "lower", "upper", "pad", "truncate")
    return functions() | {name: lambda *values: next((value for value in values if value), "") for name in same}


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = element(value, key)
    return value


def _print(*values: Any) -> str:
    """Go's Sprint: a space between two operands neither of which is a text."""
    out = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out += " "
        out += show(value)
    return out


def printf(form: str, *values: Any) -> str:
    """Go's Sprintf for %s %v %q %d %x %X %o %b %c %f %e %g %t %T %% with flags, width and precision."""
    out, rest, given = [], form, iter(values)
    while rest:
        text, percent, rest = rest.partition("%")
        out.append(text)
        if percent:
            digits = len(rest) - len(rest.lstrip("-+# 0123456789."))
            flags, verb, rest = rest[:digits], rest[digits : digits + 1], rest[digits + 1 :]
            out.append("%" if verb == "%" else _verb(flags, verb, given))
    extra = list(given)
    if extra:
        out.append("%!(EXTRA " + ", ".join(f"{type(value).__name__}={show(value)}" for value in extra) + ")")
    return "".join(out)


def _verb(flags: str, verb: str, given: Iterator[Any]) -> str:
    try:
        value = next(given)
    except StopIteration:
        return f"%!{verb}(MISSING)"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb == "t":
        return show(value)
    if verb in ("s", "v") or (verb == "q" and not number):
        text = encode(value) if verb == "q" else show(value)
        return (
            f"%{flags.replace('0', '', 1) if flags.startswith('0') else flags}s" % text
            if verb != "v" or "+" not in flags
            else text
        )
    if verb == "b" and isinstance(value, int):
        return f"{value:b}"
    if verb in "dxXocfeg" and number:
        return f"%{flags}{verb}" % (int(value) if verb in "dxXoc" else value)
    if verb in "xX" and isinstance(value, str):
        return f"%{verb}" % int.from_bytes(value.encode(), "big")
    return f"%!{verb}({'string' if isinstance(value, str) else type(value).__name__}={show(value)})"


def _title(text: str) -> str:
    """Every word's first letter in capitals, the rest as it is."""
    return "".join(
        letter.upper() if at == 0 or not text[at - 1].isalnum() else letter for at, letter in enumerate(text)
    )


def _html(*values: Any) -> str:
    text = _print(*values)
    for mark, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(mark, name)
    return text


def _urlquery(*values: Any) -> str:
    from wherry_client.query import quote

    return quote(_print(*values), " ").replace(" ", "+")
