"""Signals as users name them."""

from __future__ import annotations

import signal

from wherry.errors import Invalid


def parse_signal(text: str) -> signal.Signals:
    """`TERM`, `SIGTERM` or `15`. Raises `Invalid`."""
    try:
        if text.isdecimal():
            return signal.Signals(int(text))
        name = text.upper().removeprefix("SIG")
        return signal.Signals[f"SIG{name}"]
    except (KeyError, ValueError) as error:
        raise Invalid(f"Invalid signal: {text}") from error
