"""Talk of the small processes: lines on stderr, which the supervisor's starter has led into a file."""

from __future__ import annotations

import sys
import time


def report(text: str) -> None:
    """Write one line with the time."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()
