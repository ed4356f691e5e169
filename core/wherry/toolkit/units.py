"""Sizes, times and truth values as people write them in options."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[kmgtp]?)i?b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def size(text: str, *, base: int = 1024) -> int:
    """`64m`, `1.5g` or `4096` in bytes; units are powers of `base` (Docker's logs count in 1000s). Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("a size is a number with k, m, g or t, as 64m")
    return int(float(match["number"]) * base ** _POWERS[match["unit"].lower()])


def decimal_size(text: str) -> int:
    """`10m` as 10,000,000 bytes. Raises ValueError."""
    return size(text, base=1000)


def duration(text: str) -> float:
    """`1m30s` in seconds, as Go writes durations. Raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError("a duration is a number with a unit (ns, us, ms, s, m, h), as 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def boolean(text: str) -> bool:
    """true, 1, yes / false, 0, no. Raises ValueError."""
    word = text.strip().lower()
    if word in ("1", "t", "true", "yes", "on"):
        return True
    if word in ("0", "f", "false", "no", "off", ""):
        return False
    raise ValueError("say true or false")
