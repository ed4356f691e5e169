"""What a helper needs to see a container's files, and that nothing moves them meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from wherry.model.containers import Container
from wherry.model.mounts import Mount
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_files import own_mounts
from wherry_engine.engine.container_launch import Launcher, Parts
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change

COPY = "copy"  # what is being done to a container that does not run while it is looked at; its forced removal interrupts it


class Views:
    """Views of containers. One that does not run cannot be started while it is looked at, and be removed by force only."""

    def __init__(self, *, book: Book, journal: Journal, actors: Actors, parts: Parts, launcher: Launcher) -> None:
        self._book, self._journal, self._actors = book, journal, actors
        self._parts, self._launcher = parts, launcher
        journal.register("container.view", self._let_go)

    @asynccontextmanager
    async def view(self, id: str) -> AsyncIterator[dict[str, Any]]:
        """The arguments of a helper's view (`wherry_engine.helper.view`), good while the block runs."""
        container = self._book.get(id)
        if container.state.alive:
            yield self._arguments(container, rootfs=str(self._parts.folders.rootfs(id)))
            return
        async with self._actors.turn(f"container/{id}", COPY):
            container = self._book.get(id)
            if container.state.alive:
                yield self._arguments(container, rootfs=str(self._parts.folders.rootfs(id)))
                return
            volumes = [point.name for point in container.mounts if point.type == "volume"]
            async with self._journal.operation("container.view", id, sync=False, volumes=volumes) as operation:
                mounts = await self._launcher.prepare(container)
                for name in volumes:
                    await self._parts.volumes.attach(name, id)
                yield self._arguments(container, mounts=mounts)
                await self._journal.finish(operation.intent)

    async def _let_go(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        for name in data["volumes"]:
            await self._parts.volumes.detach(name, id)
        return ()

    def _arguments(self, container: Container, *, rootfs: str = "", mounts: Sequence[Mount] = ()) -> dict[str, Any]:
        folders = self._parts.folders
        taken = [point.destination for point in container.mounts]
        binds = [
            (point.source + (f"/{point.subpath}" if point.subpath else ""), point.destination, point.writable)
            for point in container.mounts
            if point.type != "tmpfs"
        ]
        own = [(each.source, each.destination, True) for each in own_mounts(folders.files(container), taken)]
        return {
            "rootfs": rootfs,
            "mounts": [(each.type, each.source, each.options) for each in mounts],
            "at": str(folders.data_root / "mounts"),
            "binds": [*sorted(binds, key=lambda bind: bind[1].count("/")), *own],
        }
