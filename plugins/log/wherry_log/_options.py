"""Options that more than one of these drivers has, with Docker's names and limits."""

from __future__ import annotations

from wherry.toolkit.units import decimal_size

BLOCKING, NON_BLOCKING = MODES = ("blocking", "non-blocking")
BUFFER = 1 << 20  # bytes
MODE_HELP = "when the log cannot keep up, blocking holds the container up, non-blocking leaves output out and says so"
BUFFER_HELP = "bytes beyond its size that a file takes first, in mode non-blocking, 1m if unset"


def positive_size(text: str) -> int:
    """A decimal size over zero. Raises ValueError."""
    value = decimal_size(text)
    if value <= 0:
        raise ValueError("max-size must be a positive number")
    return value


def file_count(text: str) -> int:
    """How many files are kept. Raises ValueError."""
    try:
        value = int(text)
    except ValueError:
        raise ValueError("max-file is a whole number") from None
    if value < 1:
        raise ValueError("max-file cannot be less than 1")
    return value


def buffer_faults(mode: str, buffer: int | None) -> list[str]:
    """What is wrong with these two together."""
    if buffer is None or mode == NON_BLOCKING:
        return []
    return ["max-buffer-size option is only supported with 'mode=non-blocking'"]
