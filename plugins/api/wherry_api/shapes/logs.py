"""Lines of logs as clients get them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote_plus

from wherry.model.logs import Record
from wherry_api.shapes.times import log_time
from wherry_api.streams import frame


def formatter(*, tty: bool, timestamps: bool, details: bytes | None) -> Callable[[Record], bytes]:
    """A function that makes a record's bytes; `details` stand before each line, None where they were not asked for."""

    def plain(record: Record) -> bytes:
        line = record.line if details is None else details + b" " + record.line
        return log_time(record.time_ns) + b" " + line if timestamps else line

    if tty:
        return plain
    if not timestamps and details is None:
        return lambda record: frame(record.stream, record.line)
    return lambda record: frame(record.stream, plain(record))


def details_text(attributes: Mapping[str, str]) -> bytes:
    """A log's attributes in the order of their keys, as key=value with commas between, escaped as in a query."""
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(attributes.items())).encode()
