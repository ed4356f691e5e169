"""Helper jobs on trees of files: a killable process does what touches an archive, an image or a volume."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.errors import Invalid
from wherry.linux.files import remove_entry, sync_filesystem, tree_usage
from wherry.linux.openat2 import openat2
from wherry.linux.steps import step
from wherry.linux.tar import extract
from wherry.linux.tar_record import Recorder, join
from wherry.linux.tree_copy import copy_tree


def extract_layer(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Extract the uncompressed archive that the first descriptor gives into a directory, which is ours.

    Arguments: "root", its path, or "" if the second descriptor is the directory; "whiteouts", "overlay" or "delete";
    "sync", true to write out the file system at the end; "record", true if the last descriptor takes the archive's record.
    Returns {"entries", "bytes", "recorded"}, the last false if the record lacks something that the archive had. Raises
    `Invalid`, `Failed`.
    """
    root = str(arguments["root"]) or f"/proc/self/fd/{fds[1]}"
    whiteouts = arguments["whiteouts"]
    if whiteouts not in ("overlay", "delete"):
        raise Invalid(f"whiteouts are overlay or delete, not {whiteouts!r}")
    target = os.dup(fds[-1]) if arguments.get("record") else os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    with step("helper.extract_layer.extract"), os.fdopen(target, "wb") as record:
        recorder = Recorder(record)
        found = extract(fds[0], root, whiteouts="overlay" if whiteouts == "overlay" else "delete", recorder=recorder)
        recorder.end()
        if arguments.get("record"):
            os.fsync(record.fileno())
    if arguments.get("sync"):
        with step("helper.extract_layer.sync"):
            sync_filesystem(Path(root))
    return {**found._asdict(), "recorded": recorder.whole}


def join_layer(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Write a layer's archive into the first descriptor, as the second one's record says, with the files below "root"."""
    root = os.open(str(arguments["root"]), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with step("helper.join_layer.write"), os.fdopen(os.dup(fds[1]), "rb") as record:
            join(record, root, fds[0])
    finally:
        os.close(root)
    return None


def copy_up(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Copy what an image has at a path into a new volume, with the directory's own owner and mode.

    Arguments: "rootfs", the image's tree; "path" in it, looked up with the tree as root; "target", the volume's
    directory. Nothing happens if that is not empty, or the image has no directory there. Returns {"entries"}. If it
    fails, the target is empty again.
    """
    source = _directory_in(str(arguments["rootfs"]), str(arguments["path"]))
    if source is None:
        return {"entries": 0}
    try:
        target = os.open(str(arguments["target"]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.listdir(target):
                return {"entries": 0}
            return {"entries": _copy_or_nothing(source, target)}
        finally:
            os.close(target)
    finally:
        os.close(source)


def usage(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Measure the tree at "path". Returns {"bytes", "inodes"}, as `wherry.linux.files.tree_usage` counts them."""
    size, inodes = tree_usage(Path(str(arguments["path"])))
    return {"bytes": size, "inodes": inodes}


def _copy_or_nothing(source: int, target: int) -> int:
    try:
        with step("helper.copy_up.copy"):
            entries = copy_tree(source, target)
            sync_filesystem(Path(f"/proc/self/fd/{target}"))  # whoever finds the volume filled never fills it again
            return entries
    except BaseException:
        with step("helper.copy_up.copy"):
            for name in os.listdir(target):
                remove_entry(target, os.fsencode(name))
        raise


def _directory_in(root: str, path: str) -> int | None:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return openat2(top, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    finally:
        os.close(top)
