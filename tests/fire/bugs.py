"""Old bugs to be planted into an engine, in the process of a lab: the harnesses must find each of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from wherry.model.containers import Container
from wherry.model.networks import EndpointRecord
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.layer_names import snapshot_name
from wherry_engine.engine.layers import Layer, Layers
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


def layer_before_journal() -> None:
    """A layer's snapshot is made before the intent that would let recovery remove it."""
    add = Layers._add

    async def early(self: Layers, chain_id: str, diff_id: str, parent: str, *rest: Any) -> Layer:
        await self._drivers.call(
            "layer.add.prepare",
            self._storage,
            lambda hook: hook.prepare(
                key=f"add-{snapshot_name(chain_id)}",
                parent=snapshot_name(parent) if parent else None,
                writable=True,
                quota=None,
            ),
        )
        return await add(self, chain_id, diff_id, parent, *rest)

    patch.object(Layers, "_add", early).start()


def attached_for_ever() -> None:
    """The way back from a failed start detaches no endpoint."""

    async def nothing(self: Endpoints, container: Container, record: EndpointRecord) -> None:
        return None

    patch.object(Endpoints, "_detach_one", nothing).start()


BUGS: dict[str, Callable[[], None]] = {
    "layer-before-journal": layer_before_journal,
    "attached-for-ever": attached_for_ever,
    "unsynced-commits": unsynced_commits,
    "unsynced-folders": unsynced_folders,
}


def plant(name: str) -> None:
    """Plant the bug of this name."""
    BUGS[name]()
