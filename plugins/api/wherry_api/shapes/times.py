"""Times and durations as Docker's clients expect them."""

from __future__ import annotations

from datetime import UTC, datetime

from wherry.errors import Invalid
from wherry_engine.engine.filter_values import date, seconds

NEVER = "0001-01-01T00:00:00Z"
_SECOND = 10**9


def time_text(ns: int) -> str:
    """RFC 3339 in UTC with as many digits as it takes; 0 is never."""
    if not ns:
        return NEVER
    fraction = f"{ns % _SECOND:09d}".rstrip("0")
    return _whole(ns) + (f".{fraction}Z" if fraction else "Z")


def second_text(ns: int) -> str:
    """RFC 3339 without a fraction."""
    return _whole(ns) + "Z"


def log_time(ns: int) -> bytes:
    """RFC 3339 with nine digits always, so that the lines of a log align."""
    return b"%s.%09dZ" % (_whole(ns).encode(), ns % _SECOND)


def _whole(ns: int) -> str:
    return datetime.fromtimestamp(ns // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def moment_of(name: str, text: str) -> int:
    """A query value that is seconds since the epoch, with or without a fraction, in ns; 0 if empty. Raises `Invalid`."""
    if not text:
        return 0
    found = seconds(text)
    if found is None:
        try:
            found = date(text)
        except ValueError as error:
            raise Invalid(f"{name}: failed to parse {text!r} as seconds since the epoch or as a date") from error
    return max(found, 0)


def epoch_seconds(text: str) -> int:
    """An image's creation date in seconds since the epoch; 0 if it has none."""
    try:
        return date(text) // _SECOND
    except ValueError:
        return 0


def human_duration(ns: int) -> str:
    """How long, as `docker ps` says it."""
    total = max(ns, 0) // _SECOND
    minutes, hours = total // 60, (max(ns, 0) + 1800 * _SECOND) // (3600 * _SECOND)
    if total < 1:
        return "Less than a second"
    if total < 60:
        return "1 second" if total == 1 else f"{total} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, size, unit in ((24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months")):
        if hours < limit:
            return f"{hours // size} {unit}"
    return f"{total // 3600 // 24 // 365} years"
