"""Layers: committed snapshots named by chain id, shared by images, each extracted once.

With each lies a record of its archive (`wherry.linux.tar_record`), from which `save` and `push` make the same bytes again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Failed, Invalid, WherryError
from wherry.linux.files import remove_file, write_all
from wherry.linux.steps import step
from wherry.linux.tar_record import Recorder
from wherry.model.mounts import Mount
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.layer_names import snapshot_name
from wherry_engine.engine.layer_source import Source, plain_tar
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.rootfs import mount_all, unmount_all
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.load import Driver
from wherry_engine.state.database import Change, Database
from wherry_engine.state.table import Table
from wherry_engine.work import Pool

EXTRACT_DEADLINE = 3600.0
Progress = Callable[[int, int], None]  # bytes read so far, of how many


@attrs.frozen(kw_only=True)
class Layer:
    """One layer that this engine holds. `size` in bytes, unpacked, without its parents; `tar_size` that of its archive."""

    chain_id: str
    diff_id: str
    parent: str
    size: int
    tar_size: int
    parts: Mapping[str, str] = attrs.field(factory=dict)  # where its snapshot lies, as the storage driver says


class Layers:
    """The layers of the engine's storage driver."""

    def __init__(
        self, *, database: Database, journal: Journal, drivers: Drivers, storage: Driver[StorageDriver],
        processes: Processes, actors: Actors, mounts: Path, records: Path,
    ) -> None:  # fmt: skip
        self._drivers, self._storage, self._processes = drivers, storage, processes
        self._actors, self._journal, self._mounts, self._records = actors, journal, mounts, records
        self.table: Table[Layer] = Table(database, "layer", Layer, lambda layer: layer.chain_id)
        self._held: Counter[str] = Counter()
        self._pool = Pool("layers", 4)
        journal.register("layer.add", self._undo_add)
        journal.register("layer.remove", self._finish_remove)

    @contextmanager
    def hold(self, chain: Sequence[str]) -> Iterator[None]:
        """Keep these from being collected while an operation that will need them is under way."""
        self._held.update(chain)
        try:
            yield
        finally:
            self._held.subtract(chain)

    def shown(self, layer: Layer) -> Path:
        """Where the layer is mounted, with its parents, while somebody reads it."""
        return self._mounts / snapshot_name(layer.chain_id)

    def record(self, chain_id: str) -> Path:
        """The record of a layer's archive."""
        return self._records / snapshot_name(chain_id)

    async def ensure(
        self, chain_id: str, diff_id: str, parent: str, source: Source | None, progress: Progress
    ) -> Layer:
        """The layer, extracted if it is not there yet. Raises `Invalid` if the tar is not what its diff id says."""
        async with self._actors.turn(f"layer/{chain_id}", "adding the layer"):
            found = self.table.get(chain_id)
            if found is not None:
                return found
            if source is None:
                raise Failed(f"layer {diff_id} of the parent image is missing: load that image again")
            return await self._add(chain_id, diff_id, parent, source, progress)

    async def _add(self, chain_id: str, diff_id: str, parent: str, source: Source, progress: Progress) -> Layer:
        name = snapshot_name(chain_id)
        key = f"add-{name}"
        async with self._journal.operation("layer.add", chain_id) as operation:
            mounts = await self._drivers.call(
                "layer.add.prepare",
                self._storage,
                lambda hook: hook.prepare(
                    key=key, parent=snapshot_name(parent) if parent else None, writable=True, quota=None
                ),
            )
            feeder = _Feeder(source, diff_id, progress)
            size = await self._fill(key, mounts, feeder, self.record(chain_id))
            parts = await self._drivers.call(
                "layer.add.commit", self._storage, lambda hook: self._commit(hook, key, name)
            )
            layer = Layer(
                chain_id=chain_id, diff_id=diff_id, parent=parent, size=size, tar_size=feeder.size, parts=parts
            )
            await operation.commit(self.table.put(layer))
        return layer

    def _commit(self, hook: StorageDriver, key: str, name: str) -> Mapping[str, str]:
        hook.commit(key=key, name=name)
        return hook.parts(key=name) if self._storage.has("parts") else {}

    async def _fill(self, key: str, mounts: Sequence[Mount], feeder: _Feeder, record: Path) -> int:
        """Extract into the snapshot: into an overlay's upper folder, else into the mounted tree."""
        upper = upperdir(mounts)
        if upper is not None:
            return await self._extract(upper, "overlay", feeder, record)
        target = self._mounts / key
        await self._pool.run("layer.add.mount", lambda: mount_all(mounts, target))
        try:
            return await self._extract(str(target), "delete", feeder, record)
        finally:
            await self._pool.run("layer.add.unmount", lambda: unmount_all(target))

    async def _extract(self, root: str, whiteouts: str, feeder: _Feeder, record: Path) -> int:
        with await self._pool.run("layer.add.record", lambda: record.open("wb")) as file:
            read, feeder.pipe = os.pipe()
            feeder.start()
            try:
                arguments = {"root": root, "whiteouts": whiteouts, "sync": True, "record": True}
                result: Any = await self._processes.job(
                    "extract_layer", arguments, (read, file.fileno()), EXTRACT_DEADLINE
                )
            finally:
                os.close(read)
                await asyncio.to_thread(feeder.join)
        feeder.check()
        if not result["recorded"]:
            await self._pool.run("layer.add.whole", lambda: _record_whole(feeder.source, record), EXTRACT_DEADLINE)
        return int(result["bytes"])

    async def _undo_add(self, chain_id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        name = snapshot_name(chain_id)
        key = f"add-{name}"
        await self._pool.run("layer.undo.unmount", lambda: unmount_all(self._mounts / key))
        await self._drivers.call("layer.undo.remove", self._storage, lambda hook: hook.remove(key=key))
        if self.table.get(chain_id) is None:
            await self._drivers.call("layer.undo.remove", self._storage, lambda hook: hook.remove(key=name))
            await self._pool.run("layer.undo.record", lambda: remove_file(self.record(chain_id)))
        return ()

    async def collect(self, chain: Sequence[str], used: Callable[[], set[str]]) -> list[str]:
        """Remove those of a chain (base first) that `used` and no running operation names; returns them, top first."""
        removed = []
        for chain_id in reversed(chain):
            async with self._actors.turn(f"layer/{chain_id}", "removing the layer"):
                if chain_id in used() or self._held[chain_id] > 0 or self.table.get(chain_id) is None:
                    continue
                await self._journal.forward("layer.remove", chain_id)
                removed.append(chain_id)
        return removed

    async def _finish_remove(self, chain_id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        name = snapshot_name(chain_id)
        await self._drivers.call("layer.remove", self._storage, lambda hook: hook.remove(key=name))
        await self._pool.run("layer.remove.record", lambda: remove_file(self.record(chain_id)))
        return (self.table.drop(chain_id),)


class _Feeder(threading.Thread):
    """Reads a layer's tar, unpacks and digests it, and writes it into `pipe`."""

    def __init__(self, source: Source, diff_id: str, progress: Progress) -> None:
        super().__init__(name="layer-feeder", daemon=True)
        self.source, self._diff_id, self._progress = source, diff_id, progress
        self.pipe = -1
        self.size = 0
        self._digest = ""
        self._error: Exception | None = None

    def run(self) -> None:
        digest, piped = hashlib.sha256(), True
        try:
            with step("layer.add.read"):
                for data in plain_tar(self.source, self._progress):
                    self.size += len(data)
                    digest.update(data)
                    piped = piped and _write_all(self.pipe, data)
            self._digest = "sha256:" + digest.hexdigest()
        except (OSError, WherryError) as error:
            self._error = error
        finally:
            os.close(self.pipe)

    def check(self) -> None:
        """Raise `Invalid` if the tar could not be read or is not the one that the image names."""
        if self._error is not None:
            raise Invalid(f"layer {self._diff_id} cannot be read: {self._error}") from self._error
        if self._digest != self._diff_id:
            raise Invalid(f"layer {self._diff_id} is corrupt: its content has the digest {self._digest}")


def _record_whole(source: Source, record: Path) -> None:
    """Let the record hold all of an archive whose tree does not: one that brings a file twice."""
    with record.open("wb") as file:
        recorder = Recorder(file)
        for data in plain_tar(source):
            recorder.raw(data)
        recorder.end()
        os.fsync(file.fileno())


def _write_all(pipe: int, data: bytes) -> bool:
    """False once nobody reads any more: the rest is only digested."""
    try:
        write_all(pipe, data)
    except BrokenPipeError:
        return False
    return True


def upperdir(mounts: Sequence[Mount]) -> str | None:
    """The folder that an overlay writes to; None if the mounts are no overlay."""
    if len(mounts) == 1 and mounts[0].type == "overlay":
        for option in mounts[0].options:
            if option.startswith("upperdir="):
                return option.removeprefix("upperdir=")
    return None
