"""Layers: committed snapshots named by chain id, shared by images, each extracted once.

A chain id says what a stack of layers holds: that of the base is its diff id, that of the next is the digest of
"PARENT DIFF" (OCI image specification, Layer ChainID). Snapshots carry its hexadecimal digits as their name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Invalid
from wherry.linux.files import write_all
from wherry.linux.steps import step
from wherry.model.mounts import Mount
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.rootfs import mount_all, unmount_all
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.load import Driver
from wherry_engine.state.database import Change, Database
from wherry_engine.state.table import Table
from wherry_engine.work import Pool

CHUNK = 1 << 20
GZIP = b"\x1f\x8b"
EXTRACT_DEADLINE = 3600.0


@attrs.frozen(kw_only=True)
class Layer:
    """One layer that this engine holds. `size` in bytes, unpacked, without its parents."""

    chain_id: str
    diff_id: str
    parent: str
    size: int


@attrs.frozen
class Source:
    """Where a layer's tar lies: a part of a file, plain or gzip-compressed."""

    path: Path
    offset: int
    size: int


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer, base first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else ""
        chain.append("sha256:" + hashlib.sha256(text.encode()).hexdigest() if chain else diff_id)
    return tuple(chain)


def snapshot_name(chain_id: str) -> str:
    """The name of the committed snapshot that holds this chain."""
    return chain_id.rpartition(":")[2]


class Layers:
    """The layers of the engine's storage driver."""

    def __init__(
        self, *, database: Database, journal: Journal, drivers: Drivers, storage: Driver[StorageDriver],
        processes: Processes, actors: Actors, mounts: Path,
    ) -> None:  # fmt: skip
        self._drivers, self._storage, self._processes = drivers, storage, processes
        self._actors, self._journal, self._mounts = actors, journal, mounts
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

    async def ensure(self, chain_id: str, diff_id: str, parent: str, source: Source) -> Layer:
        """The layer, extracted if it is not there yet. Raises `Invalid` if the tar is not what its diff id says."""
        async with self._actors.turn(f"layer/{chain_id}", "adding the layer"):
            found = self.table.get(chain_id)
            if found is not None:
                return found
            return await self._add(chain_id, diff_id, parent, source)

    async def _add(self, chain_id: str, diff_id: str, parent: str, source: Source) -> Layer:
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
            size = await self._fill(key, mounts, diff_id, source)
            await self._drivers.call("layer.add.commit", self._storage, lambda hook: hook.commit(key=key, name=name))
            layer = Layer(chain_id=chain_id, diff_id=diff_id, parent=parent, size=size)
            await operation.commit(self.table.put(layer))
        return layer

    async def _fill(self, key: str, mounts: Sequence[Mount], diff_id: str, source: Source) -> int:
        """Extract into the snapshot: into an overlay's upper folder, else into the mounted tree."""
        upper = _upperdir(mounts)
        if upper is not None:
            return await self._extract(upper, "overlay", diff_id, source)
        target = self._mounts / key
        await self._pool.run("layer.add.mount", lambda: mount_all(mounts, target))
        try:
            return await self._extract(str(target), "delete", diff_id, source)
        finally:
            await self._pool.run("layer.add.unmount", lambda: unmount_all(target))

    async def _extract(self, root: str, whiteouts: str, diff_id: str, source: Source) -> int:
        read, write = os.pipe()
        feeder = _Feeder(source, write)
        feeder.start()
        try:
            arguments = {"root": root, "whiteouts": whiteouts, "sync": True}
            result: Any = await self._processes.job("extract_layer", arguments, (read,), EXTRACT_DEADLINE)
        finally:
            os.close(read)
            await asyncio.to_thread(feeder.join)
        if feeder.error is not None:
            raise Invalid(f"layer {diff_id} cannot be read: {feeder.error}") from feeder.error
        if feeder.digest != diff_id:
            raise Invalid(f"layer {diff_id} is corrupt: its content has the digest {feeder.digest}")
        return int(result["bytes"])

    async def _undo_add(self, chain_id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        name = snapshot_name(chain_id)
        key = f"add-{name}"
        await self._pool.run("layer.undo.unmount", lambda: unmount_all(self._mounts / key))
        await self._drivers.call("layer.undo.remove", self._storage, lambda hook: hook.remove(key=key))
        if self.table.get(chain_id) is None:
            await self._drivers.call("layer.undo.remove", self._storage, lambda hook: hook.remove(key=name))
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
        return (self.table.drop(chain_id),)


class _Feeder(threading.Thread):
    """Reads a layer's tar, unpacks gzip, digests the plain tar and writes it into a pipe."""

    def __init__(self, source: Source, pipe: int) -> None:
        super().__init__(name="layer-feeder", daemon=True)
        self._source, self._pipe = source, pipe
        self.digest = ""
        self.error: Exception | None = None

    def run(self) -> None:
        digest, piped = hashlib.sha256(), True
        try:
            with step("layer.add.read"):
                for data in plain_tar(self._source):
                    digest.update(data)
                    piped = piped and _write_all(self._pipe, data)
            self.digest = "sha256:" + digest.hexdigest()
        except (OSError, zlib.error) as error:
            self.error = error
        finally:
            os.close(self._pipe)


def plain_tar(source: Source) -> Iterator[bytes]:
    """The tar's bytes; a gzip member is recognised by its first two bytes (RFC 1952)."""
    with source.path.open("rb") as file:
        file.seek(source.offset)
        left, first = source.size, True
        unpack: Callable[[bytes], bytes] | None = None
        while left and (data := file.read(min(CHUNK, left))):
            left -= len(data)
            if first and data[:2] == GZIP:
                unpack = zlib.decompressobj(wbits=31).decompress
            first = False
            yield unpack(data) if unpack else data
        if left:
            raise OSError(f"the archive ends {left} bytes early")


def _write_all(pipe: int, data: bytes) -> bool:
    """False once nobody reads any more: the rest is only digested."""
    try:
        write_all(pipe, data)
    except BrokenPipeError:
        return False
    return True


def _upperdir(mounts: Sequence[Mount]) -> str | None:
    if len(mounts) == 1 and mounts[0].type == "overlay":
        for option in mounts[0].options:
            if option.startswith("upperdir="):
                return option.removeprefix("upperdir=")
    return None
