"""Mounting what a server or a user's path provides: it may hang, so a helper does it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import Failed
from wherry.linux import mounts
from wherry.linux.steps import step


def mount(arguments: Mapping[str, Any], _fds: Sequence[int]) -> object:
    """Mount `source` of type `kind` with `options` on the folder `target`, which is made if need be."""
    target = str(arguments["target"])
    with step("helper.mount"):
        os.makedirs(target, mode=0o755, exist_ok=True)
        source = str(arguments["source"])
        try:
            mounts.mount(str(arguments["kind"]), source, target, [str(o) for o in arguments["options"]])
        except OSError as error:  # which names a system call at most
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise Failed(f"mount {source} on {target}: {reason}") from error
    return None
