"""Mounting snapshots on folders of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wherry.errors import Failed
from wherry.linux.mounts import mount, unmount
from wherry.model.mounts import Mount


def mount_all(mounts: Sequence[Mount], target: Path) -> None:
    """Mount a snapshot on a folder, which is made if need be."""
    target.mkdir(parents=True, exist_ok=True)
    for each in mounts:
        mount(each.type, each.source, str(target), each.options)


def unmount_all(target: Path) -> None:
    """Unmount and remove the folder; it may be gone already. Raises `Failed` if something keeps it."""
    unmount(str(target))
    try:
        target.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failed(f"{target} could not be unmounted: {error}") from error
