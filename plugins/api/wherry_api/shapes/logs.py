"""Lines of logs as clients get them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from wherry.model.containers import Container
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


def details_of(container: Container) -> bytes:
    """The labels and variables that the log's options name, as key=value with commas between."""
    options = container.host.log_config.config
    env = dict(each.partition("=")[::2] for each in container.config.env)
    found = {
        **_chosen(container.config.labels, options.get("labels", ""), options.get("labels-regex", "")),
        **_chosen(env, options.get("env", ""), options.get("env-regex", "")),
    }
    return ",".join(f"{key}={value}" for key, value in sorted(found.items())).encode()


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> Mapping[str, str]:
    wanted: Iterable[str] = {name.strip() for name in names.split(",")}
    return {
        key: value
        for key, value in values.items()
        if key in wanted or (pattern and re.search(pattern, key) is not None)
    }
