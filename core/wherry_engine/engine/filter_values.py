"""Values of filters: truth values, numbers, moments, port ranges and image name patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import attrs

from wherry.errors import Invalid
from wherry.toolkit.units import duration

TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")
_SECONDS = re.compile(r"(-?\d{1,12})(?:\.(\d{1,9})\d*)?")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_FRACTION = re.compile(r"\.(\d{1,9})\d*")


def wrong(key: str, values: Sequence[str]) -> Invalid:
    """The error of a value that a filter cannot have, in the form that clients know."""
    return Invalid(f"invalid filter '{key}=[{' '.join(values)}]'")


def flag(key: str, values: Sequence[str]) -> bool | None:
    """One truth value; None for no values. Raises `Invalid`."""
    if not values:
        return None
    found = {value.lower() for value in values}
    if found <= set(TRUE):
        return True
    if found <= set(FALSE):
        return False
    raise wrong(key, values)


def number(key: str, value: str) -> int:
    """A whole number. Raises `Invalid`."""
    if not re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
        raise wrong(key, [value])
    return int(value)


def seconds(text: str) -> int | None:
    """`1136073600.000000001`, in ns; None if it has another form. Digits, not floats: these have no room for ns."""
    match = _SECONDS.fullmatch(text)
    if match is None:
        return None
    fraction = int((match[2] or "").ljust(9, "0"))
    whole = int(match[1]) * 10**9
    return whole - fraction if match[1].startswith("-") else whole + fraction


def moment(key: str, text: str, now_ns: int) -> int:
    """A point in time in ns: seconds since the epoch, a date, or a duration before now. Raises `Invalid`."""
    found = seconds(text)
    if found is not None:
        return found
    try:
        return now_ns - int(duration(text) * 1e9)
    except ValueError:
        pass
    try:
        return date(text)
    except ValueError as error:
        raise Invalid(
            f'failed to parse value as time or duration: "{text}"; {key} is a duration as 10m, a date, or seconds since 1970'
        ) from error


def date(text: str) -> int:
    """An RFC 3339 date, with or without time and zone (then UTC), in ns. Raises ValueError."""
    fraction = _FRACTION.search(text)
    plain = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    found = datetime.fromisoformat(plain)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp()) * 10**9 + (int(fraction[1].ljust(9, "0")) if fraction else 0)


def created(text: str) -> int:
    """An image's creation date in ns; 0 if its config says none or another thing than a date."""
    try:
        return date(text)
    except ValueError:
        return 0


@attrs.frozen
class PortRange:
    """Ports of one protocol, as a filter names them."""

    first: int
    last: int
    protocol: str

    def contains(self, port: int, protocol: str) -> bool:
        """Whether this port is one of them."""
        return self.protocol == protocol and self.first <= port <= self.last

    def holds(self, key: str) -> bool:
        """The same for a port written as "80/tcp"."""
        port, _, protocol = key.partition("/")
        return port.isdecimal() and self.contains(int(port), protocol or "tcp")


def port_range(key: str, text: str) -> PortRange:
    """`80`, `80/udp` or `8000-8010/tcp`. Raises `Invalid`."""
    match = _PORTS.fullmatch(text)
    if match is None:
        raise wrong(key, [text])
    first = int(match[1])
    last = int(match[2] or first)
    if not first <= last <= 65535:
        raise wrong(key, [text])
    return PortRange(first, last, (match[3] or "tcp").lower())


def matches_reference(pattern: str, name: str) -> bool:
    """Whether a pattern fits an image's name, with its tag or without. A `*` does not cross a slash."""
    return any(_fits(pattern, candidate) for candidate in (name, without_tag(name)))


def without_tag(name: str) -> str:
    """An image's name without its tag and digest."""
    name = name.partition("@")[0]
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def _fits(pattern: str, name: str) -> bool:
    wanted, parts = pattern.split("/"), name.split("/")
    return len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))
