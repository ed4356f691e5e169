"""Signals as users name them."""

from __future__ import annotations

import re
import signal

from wherry.errors import Invalid

LARGEST = 64  # see signal(7): the last real-time signal
_REAL_TIME = re.compile(r"RTM(?P<end>IN|AX)(?:(?P<sign>[+-])(?P<offset>\d{1,2}))?")


def parse_signal(text: str) -> int:
    """`TERM`, `SIGTERM`, `15` or `RTMIN+3` as a number. Raises `Invalid`."""
    if re.fullmatch(r"-?\d+", text):
        number = int(text)
        if number == 0:
            raise Invalid(f"invalid signal: {text}")
        if not 0 < number <= LARGEST:
            raise Invalid(f"the linux daemon does not support signal {text}")
        return number
    name = text.upper().removeprefix("SIG")
    if match := _REAL_TIME.fullmatch(name):
        base, offset = (signal.SIGRTMIN, 1) if match["end"] == "IN" else (signal.SIGRTMAX, -1)
        number = base + offset * int(match["offset"] or 0)
        if (match["sign"] or "+-"[offset < 0]) == "+-"[offset < 0] and signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError as error:
        raise Invalid(f"invalid signal: {text}") from error
