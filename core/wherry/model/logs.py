"""Log targets and records: what log drivers, the monitor and readers hand each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class LogInfo:
    """The container whose output is to be logged."""

    container_id: str
    container_name: str
    image_name: str
    image_id: str = ""
    command: tuple[str, ...] = ()
    daemon_name: str = "wherry"
    labels: Mapping[str, str] = attrs.field(factory=dict)
    env: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class LocalLog:
    """What the monitor writes by itself, line by line, without asking anyone. Sizes in bytes; -1 is no limit."""

    format: Literal["json-file", "local", "none"]
    max_size: int = -1
    max_files: int = 1
    compress: bool = False
    attributes: Mapping[str, str] = attrs.field(factory=dict)
    non_blocking: bool = False
    buffer: int = 1 << 20


@attrs.frozen
class Record:
    """One line (or a part of one) of a container's output. `partial` is (id, ordinal, last) of a line over 16 KiB."""

    time_ns: int
    stream: Literal["stdout", "stderr"]
    line: bytes
    partial: tuple[str, int, bool] | None = None


@attrs.frozen(kw_only=True)
class LogQuery:
    """Which records a reader wants. Times in ns since the epoch; `tail` counts lines from the end, None is all."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since_ns: int = 0
    until_ns: int = 0
    tail: int | None = None
