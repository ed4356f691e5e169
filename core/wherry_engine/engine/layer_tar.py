"""The archives of layers, made again from what the storage driver holds and the record of the archive."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from wherry.errors import Failed
from wherry.model.names import new_id
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.job_stream import job_stream
from wherry_engine.engine.layer_names import snapshot_name
from wherry_engine.engine.layers import Layer, Layers
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.rootfs import mount_all, unmount_all
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.load import Driver
from wherry_engine.state.database import Change
from wherry_engine.work import Pool


class LayerTars:
    """Reads layers back."""

    def __init__(
        self, *, layers: Layers, journal: Journal, drivers: Drivers, storage: Driver[StorageDriver],
        processes: Processes, mounts: Path,
    ) -> None:  # fmt: skip
        self._layers, self._journal, self._drivers, self._storage = layers, journal, drivers, storage
        self._processes, self._mounts = processes, mounts
        self._pool = Pool("layer views", 4)
        journal.register("layer.view", self._end_view)

    async def stream(self, layer: Layer) -> AsyncGenerator[bytes, None]:
        """The layer's archive. Raises `Failed` at the end if it is not the one that was extracted."""
        content = hashlib.sha256()
        async with self.view(layer.chain_id) as root:
            record = await self._pool.run(
                "layer.view.record", lambda: os.open(self._layers.record(layer.chain_id), os.O_RDONLY)
            )
            try:
                async with aclosing(
                    job_stream(self._processes, "join_layer", {"root": str(root)}, (record,))
                ) as pieces:
                    async for data in pieces:
                        await asyncio.to_thread(content.update, data)
                        yield data
            finally:
                os.close(record)
        if f"sha256:{content.hexdigest()}" != layer.diff_id:
            raise Failed(
                f"layer {layer.diff_id} is damaged: its files are not those that were extracted; load the image again"
            )

    @asynccontextmanager
    async def view(self, chain_id: str) -> AsyncIterator[Path]:
        """The tree that a chain of layers shows, mounted for reading while the block runs."""
        key = f"view-{new_id()[:16]}"
        async with self._journal.operation("layer.view", key, sync=False) as operation:
            mounts = await self._drivers.call(
                "layer.view.prepare",
                self._storage,
                lambda hook: hook.prepare(key=key, parent=snapshot_name(chain_id), writable=False, quota=None),
            )
            target = self._mounts / key
            await self._pool.run("layer.view.mount", lambda: mount_all(mounts, target))
            yield target
            await self._journal.finish(operation.intent)

    async def _end_view(self, key: str, _data: Mapping[str, Any]) -> tuple[Change, ...]:
        await self._pool.run("layer.view.unmount", lambda: unmount_all(self._mounts / key))
        await self._drivers.call("layer.view.remove", self._storage, lambda hook: hook.remove(key=key))
        return ()
