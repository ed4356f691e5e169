"""The order in which people expect names: numbers inside them count as numbers."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(\d+)")


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """A sort key in which net2 comes before net10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _NUMBER.split(text) if part]
