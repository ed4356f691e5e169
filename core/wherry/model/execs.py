"""Execs: further programs that run in a container, as callers ask for them and as the engine shows them."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ExecSpec:
    """What a caller asks for. `user` and `working_dir` "" are the container's own; `env` is added to the container's."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    privileged: bool = False
    stdin: bool = False  # which of its streams are attached
    stdout: bool = False
    stderr: bool = False
    detach_keys: bytes = b""  # b"": the usual ones
    probe: bool = False  # one of a health check, which the engine runs
    console_size: tuple[int, int] = (0, 0)  # height, width; (0, 0) is unknown


@attrs.frozen(kw_only=True)
class Exec:
    """One exec as it is now. `pid` is 0 before its start, `exit_code` None before its end."""

    id: str
    container_id: str
    spec: ExecSpec
    pid: int = 0
    running: bool = False
    exit_code: int | None = None
