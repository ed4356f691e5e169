"""Listing processes by the host's ps, whose arguments a user chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import Failed, Unavailable
from wherry.linux.programs import attempt, find
from wherry.linux.steps import step


def ps(arguments: Mapping[str, Any], _fds: Sequence[int]) -> object:
    """What ps prints. Arguments: arguments (a list), pids. Not all options go with a choice of processes: then all come."""
    program = find("ps")
    if program is None:
        raise Unavailable("ps was not found on this host: install procps")
    words = [str(word) for word in arguments["arguments"]]
    chosen = "-q" + ",".join(map(str, arguments["pids"]))
    with step("helper.ps"):
        status, output, _ = attempt([program, *words, chosen])
        if status:
            status, output, error = attempt([program, *words])
            if status:
                raise Failed(f"ps: {error.strip().partition(chr(10))[0]}")
    return output
