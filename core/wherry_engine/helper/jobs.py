"""The jobs that helpers do: each touches a user's path or may hang, and so runs in a process that can be killed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wherry.errors import Invalid, NotFound
from wherry.linux.mountinfo import mounts
from wherry.linux.steps import step
from wherry_engine.helper import archive, listing, mounting, tree

Job = Callable[[Mapping[str, Any], Sequence[int]], object]
"""A function of arguments (from JSON) and descriptors; its result must be fit for JSON, its errors are WherryError or OSError."""


def ensure_bind(arguments: Mapping[str, Any], _fds: Sequence[int]) -> object:
    """What the source of a bind mount is: {"kind": "dir" | "file" | "other"}.

    Arguments: path (absolute), create (make a missing folder), propagation (what the bind asks for, or nothing). Raises
    NotFound if it is missing, Invalid if the mount on which it lies does not propagate so.
    """
    path = str(arguments["path"])
    if not os.path.isabs(path):
        raise Invalid(f"bind source path is not absolute: {path}")
    if arguments.get("create") and not os.path.lexists(path):
        with step("helper.bind.create"):
            os.makedirs(path, mode=0o755, exist_ok=True)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"bind source path does not exist: {path}") from None
    _check_propagation(path, str(arguments.get("propagation", "")))
    if stat.S_ISDIR(mode):
        return {"kind": "dir"}
    return {"kind": "file" if stat.S_ISREG(mode) else "other"}


def _check_propagation(path: str, wanted: str) -> None:
    kinds = {"shared": ("shared",), "slave": ("shared", "master")}.get(wanted.removeprefix("r"))
    if kinds is None:
        return
    real, below = os.path.realpath(path), mounts()[0]
    for info in mounts():  # of those on one path the last is on top
        if len(info.target) >= len(below.target) and os.path.commonpath((real, info.target)) == info.target:
            below = info
    if not any(tag.partition(":")[0] in kinds for tag in below.propagation):
        what = "a shared" if kinds == ("shared",) else "a shared or slave"
        raise Invalid(f"path {path} is mounted on {below.target} but it is not {what} mount")


JOBS: dict[str, Job] = {
    "archive_export": archive.export,
    "archive_get": archive.get,
    "archive_layer": archive.layer,
    "archive_put": archive.put,
    "copy_up": tree.copy_up,
    "ensure_bind": ensure_bind,
    "extract_layer": tree.extract_layer,
    "join_layer": tree.join_layer,
    "mount": mounting.mount,
    "ps": listing.ps,
    "usage": tree.usage,
}
