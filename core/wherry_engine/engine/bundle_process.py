"""The `process` of the OCI specification: of a container's first program, and of each further one that runs in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import attrs

from wherry.linux.users import User
from wherry.model.containers import Container
from wherry.model.execs import ExecSpec
from wherry_engine.engine import limits, security

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.frozen(kw_only=True)
class Program:
    """What a process executes, and how. `cwd` "" is the root folder."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    tty: bool
    console_size: tuple[int, int]


def environment(given: Iterable[str], *, hostname: str, home: str, tty: bool) -> list[str]:
    """The environment of a container's process: a few defaults, then what is given. `NAME` alone unsets a default."""
    values = {"PATH": PATH, "HOSTNAME": hostname}
    if tty:
        values["TERM"] = "xterm"
    for entry in given:
        name, separator, value = entry.partition("=")
        if separator:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", home or "/")
    return [f"{name}={value}" for name, value in values.items()]


def process_section(
    container: Container,
    user: User,
    program: Program,
    granted: tuple[str, ...],
    *,
    hostname: str,
    no_new_privileges: bool,
) -> dict[str, Any]:
    """The `process` of the OCI specification, for a container's first process or for another in it."""
    env = environment(program.env, hostname=hostname or os.uname().nodename, home=user.home, tty=program.tty)
    process: dict[str, Any] = {
        "terminal": program.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(dict.fromkeys((user.gid, *user.groups)))},
        "args": list(program.args),
        "env": env,
        "cwd": program.cwd or "/",
        "capabilities": _capabilities(granted, user),
        "noNewPrivileges": no_new_privileges,
        "oomScoreAdj": container.host.oom_score_adj,
    }
    height, width = program.console_size
    if program.tty and height and width:
        process["consoleSize"] = {"height": height, "width": width}
    rlimits = limits.rlimits(container.host.resources)
    if rlimits:
        process["rlimits"] = rlimits
    return process


def exec_process(container: Container, spec: ExecSpec, user: User) -> dict[str, Any]:
    """The process of an exec: what the container's own may do, or everything if it is privileged."""
    config, host = container.config, container.host
    return process_section(
        container,
        user,
        Program(
            args=spec.command,
            env=(*config.env, *spec.env),
            cwd=spec.working_dir or config.working_dir,
            tty=spec.tty,
            console_size=spec.console_size,
        ),
        security.grantable() if spec.privileged else security.capabilities(host),
        hostname=config.hostname,
        no_new_privileges=security.parse_options(host.security_opt or ()).no_new_privileges,
    )


def _capabilities(granted: tuple[str, ...], user: User) -> dict[str, list[str]]:
    # Another user than root has none in effect, as after execve(2), but may gain them from set-uid programs.
    sets = ("bounding", "effective", "permitted") if user.uid == 0 else ("bounding",)
    return {name: list(granted) for name in sets}
