"""Sizes, durations and times in the words that Docker's users know."""

from __future__ import annotations

import time

SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
BINARY_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}  # longer names first
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def size(count: float, digits: int = 3) -> str:
    """1234567 as 1.23MB: powers of 1000."""
    return _scaled(count, digits, 1000.0, SIZES)


def binary_size(count: float) -> str:
    """25217814528 as 23.49GiB: powers of 1024."""
    return _scaled(count, 4, 1024.0, BINARY_SIZES)


def _scaled(count: float, digits: int, base: float, units: tuple[str, ...]) -> str:
    step = 0
    while count >= base and step < len(units) - 1:
        count /= base
        step += 1
    return f"{count:.{digits}g}{units[step]}"


def parse_size(text: str) -> int:
    """64m, 1.5GiB or 4096 in bytes; units are powers of 1024. Raises ValueError."""
    stem = text.strip().lower()
    number = stem.rstrip("bi")
    power = "kmgtp".find(number[-1:]) + 1 if number[-1:] else 0
    try:
        value = float(number[:-1] if power else number) * 1024**power
    except ValueError:
        value = -1
    if value < 0 or value != value or stem.endswith("i"):
        raise ValueError(f"invalid size: '{text}'")
    return int(value)


def parse_duration(text: str) -> int:
    """1m30s, 1.5h or 0 in nanoseconds. Raises ValueError."""
    wrong = ValueError(f'invalid duration "{text}": write 1m30s, 500ms or 2h')
    rest, total = text.removeprefix("-").removeprefix("+"), 0.0
    if rest == "0":
        return 0
    if not rest:
        raise wrong
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(digits) :]
        unit = next((unit for unit in UNITS if rest.startswith(unit)), "")
        if not digits.replace(".", "", 1).isdecimal() or not unit:
            raise wrong
        total += float(digits) * UNITS[unit]
        rest = rest[len(unit) :]
    return -int(total) if text.startswith("-") else int(total)


def duration(seconds: float) -> str:
    """190 as "3 minutes", 3700 as "About an hour"."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"


def since(seconds: float) -> str:
    """How long ago that unix time was."""
    return duration(time.time() - seconds) + " ago"


def local_time(seconds: float) -> str:
    """A unix time as "2024-05-01 10:11:12 +0200 CEST"."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


class Instant:
    """An RFC 3339 time taken apart: seconds since 1970, the digits after the point, the offset in seconds."""

    __slots__ = ("fraction", "offset", "seconds")

    def __init__(self, text: str) -> None:
        """Raises ValueError."""
        body, self.offset = _zone(text)
        moment, _, self.fraction = body.partition(".")
        if self.fraction and not self.fraction.isdecimal():
            raise ValueError(f"{text!r} is not a time")
        whole = time.strptime(moment, "%Y-%m-%dT%H:%M:%S")
        self.seconds = _epoch(whole) - self.offset

    def sentence(self) -> str:
        """2024-05-01 10:11:12.5 +0000 UTC."""
        shown = time.gmtime(self.seconds + self.offset)
        fraction = self.fraction.rstrip("0")
        sign, minutes = "-" if self.offset < 0 else "+", abs(self.offset) // 60
        zone = f"{sign}{minutes // 60:02}{minutes % 60:02}"
        return (
            time.strftime("%Y-%m-%d %H:%M:%S", shown)
            + (f".{fraction}" if fraction else "")
            + f" {zone} {'UTC' if not self.offset else zone}"
        )

    def date_line(self) -> str:
        """Wed May  1 10:11:12 2024."""
        shown = time.gmtime(self.seconds + self.offset)
        return (
            f"{DAYS[shown.tm_wday]} {MONTHS[shown.tm_mon - 1]} {shown.tm_mday:2} {time.strftime('%H:%M:%S %Y', shown)}"
        )


def _zone(text: str) -> tuple[str, int]:
    if text.endswith(("Z", "z")):
        return text[:-1], 0
    body, mark, zone = text[:-6], text[-6:-5], text[-5:]
    if mark not in ("+", "-") or zone[2:3] != ":" or not (zone[:2] + zone[3:]).isdecimal():
        raise ValueError(f"{text!r} is not a time with its zone")
    seconds = int(zone[:2]) * 3600 + int(zone[3:]) * 60
    return body, -seconds if mark == "-" else seconds


def _epoch(utc: time.struct_time) -> int:
    """Seconds since 1970 of a UTC time (calendar.timegm without its imports; days by Hinnant's civil calendar)."""
    year, month = utc.tm_year - (utc.tm_mon <= 2), utc.tm_mon
    era_day = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + utc.tm_mday - 1
    days = year * 365 + year // 4 - year // 100 + year // 400 + era_day - 719468
    return days * 86400 + utc.tm_hour * 3600 + utc.tm_min * 60 + utc.tm_sec


def nanoseconds(text: str, now: float | None = None) -> str:
    """What --since and --until take, as the engine wants it: "seconds.nanoseconds".

    A duration counts back from now; otherwise a unix time, or a date with or without time and zone. Raises ValueError.
    """
    try:
        back = parse_duration(text)
    except ValueError:
        pass
    else:
        if not text.lstrip("+-").isdecimal():
            moment = (time.time_ns() if now is None else int(now * 1e9)) - back
            return f"{moment // 10**9}.{moment % 10**9:09}"
    if text.replace(".", "", 1).isdecimal():
        whole, _, fraction = text.partition(".")
        return f"{whole}.{fraction[:9]:<09}" if fraction else whole
    return _date(text)


def _date(text: str) -> str:
    moment, _, fraction = text.partition(".")
    if fraction.isdecimal():
        text = moment
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            return str(int(time.mktime(time.strptime(text, form))))
        except ValueError:
            continue
    try:
        instant = Instant(text)
    except ValueError:
        raise ValueError(
            f'failed to parse value as time or duration: "{text}"; write 10m, a unix time, 2024-05-01 or 2024-05-01T10:11:12Z'
        ) from None
    return f"{instant.seconds}.{instant.fraction[:9]:<09}" if instant.fraction else str(instant.seconds)


def shorten(text: str, width: int) -> str:
    """At most `width` characters; what is cut leaves an ellipsis."""
    if len(text) <= width:
        return text
    return text[: width - 1] + "…" if width > 1 else text[:width]


def short_id(text: str) -> str:
    """The first twelve digits of an id, without the name of its hash."""
    return text.partition(":")[2][:12] if ":" in text else text[:12]
