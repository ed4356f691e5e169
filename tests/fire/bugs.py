"""Old bugs to be planted into an engine, in the process of a lab: the harnesses must find each of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from wherry_engine.state.database import Database


def unsynced_commits() -> None:
    """A commit is acknowledged before it is on the disk."""

    def synchronous(self: Database, mode: str) -> None:
        self._writer.execute("PRAGMA synchronous=OFF")

    patch.object(Database, "_synchronous", synchronous).start()


def unsynced_folders() -> None:
    """A committed layer, a volume or a removal is not on the disk when its record is."""
    real = os.fsync

    def fsync(file: Any) -> None:
        if not os.path.isdir(f"/proc/self/fd/{file}"):
            real(file)

    patch.object(os, "fsync", fsync).start()


BUGS: dict[str, Callable[[], None]] = {
    "unsynced-commits": unsynced_commits,
    "unsynced-folders": unsynced_folders,
}


def plant(name: str) -> None:
    """Plant the bug of this name."""
    BUGS[name]()
