"""Execs: what a client asks for, and what it is told."""

from __future__ import annotations

import base64
from typing import Any

import attrs

from wherry.model.execs import Exec, ExecSpec
from wherry_api.shapes.keys import detach_keys
from wherry_api.shapes.read import Fields


def read_exec(fields: Fields) -> ExecSpec:
    """The body of a creation. Raises `Invalid` with all its faults."""
    spec = ExecSpec(
        command=fields.command("Cmd") or (),
        env=fields.texts("Env"),
        user=fields.text("User"),
        working_dir=fields.text("WorkingDir"),
        tty=fields.boolean("Tty"),
        privileged=fields.boolean("Privileged"),
        stdin=fields.boolean("AttachStdin"),
        stdout=fields.boolean("AttachStdout"),
        stderr=fields.boolean("AttachStderr"),
        console_size=console_size(fields),
    )
    keys = fields.text("DetachKeys")
    fields.check()
    return attrs.evolve(spec, detach_keys=detach_keys(keys))


def console_size(fields: Fields) -> tuple[int, int]:
    """(height, width) of the client's terminal, (0, 0) if it does not say."""
    size = fields.integers("ConsoleSize")
    if not size:
        return (0, 0)
    if len(size) != 2 or not all(0 <= number < 1 << 16 for number in size):
        fields.fault("ConsoleSize", "must be two numbers of 0 to 65535, height and width")
        return (0, 0)
    return size[0], size[1]


def exec_json(found: Exec) -> dict[str, Any]:
    """All about one."""
    spec = found.spec
    return {
        "ID": found.id,
        "Running": found.running,
        "ExitCode": found.exit_code,
        "ProcessConfig": {
            "tty": spec.tty,
            "entrypoint": spec.command[0],
            "arguments": list(spec.command[1:]),
            "privileged": spec.privileged,
            **({"user": spec.user} if spec.user else {}),
        },
        "OpenStdin": spec.stdin,
        "OpenStderr": spec.stderr,
        "OpenStdout": spec.stdout,
        "CanRemove": found.exit_code is not None,
        "ContainerID": found.container_id,
        "DetachKeys": base64.b64encode(spec.detach_keys).decode(),
        "Pid": found.pid,
    }
