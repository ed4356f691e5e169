"""The options of `json-file`, with Docker's names and limits."""

from __future__ import annotations

import re

import attrs

from wherry.spec.log import option
from wherry.toolkit.units import boolean, size
from wherry_log._options import BLOCKING, BUFFER_HELP, MODE_HELP, MODES, file_count, positive_size


def names(text: str) -> tuple[str, ...]:
    """`a,b` as its parts."""
    return tuple(part for part in text.split(",") if part)


def pattern(text: str) -> str:
    """A regular expression, checked. Raises ValueError."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


@attrs.frozen(kw_only=True)
class Options:
    """What `--log-opt` accepts."""

    max_size: int | None = option(
        "max-size", positive_size, default=None, help="rotate when the file has this size, as 10m"
    )
    max_file: int = option("max-file", file_count, default=1, help="how many files are kept; needs max-size")
    compress: bool = option(
        "compress", boolean, default=False, help="compress rotated files; needs max-file of 2 or more"
    )
    labels: tuple[str, ...] = option("labels", names, default=(), help="container labels to add to each line, as a,b")
    labels_regex: str = option("labels-regex", pattern, default="", help="add the labels whose keys match")
    env: tuple[str, ...] = option("env", names, default=(), help="environment variables to add to each line, as A,B")
    env_regex: str = option("env-regex", pattern, default="", help="add the variables whose names match")
    tag: str = option("tag", str, default="", help="template of a tag to add to each line, as {{.Name}}")
    mode: str = option("mode", str, default=BLOCKING, choices=MODES, help=MODE_HELP)
    max_buffer_size: int | None = option("max-buffer-size", size, default=None, help=BUFFER_HELP)
