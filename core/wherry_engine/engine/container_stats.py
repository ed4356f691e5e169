"""What containers use, for those who ask once and those who watch. Nothing is read while nobody does.

Whoever asks while a reading is under way, or at the same moment as others, shares one: watchers are woken together, at
whole seconds, and their containers are read in one go of one thread, each of them once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from wherry.model.containers import Container
from wherry.model.stats import Figures, Stats
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_launch import Launcher
from wherry_engine.engine.figures import Host, read_figures
from wherry_engine.engine.groups import Groups
from wherry_engine.work import Pool

APART = 0.2  # s between the two samples of a pair: two periods of a CPU limit; docs/stats.md has what was measured
EVERY = 1.0  # s between a watcher's samples

Wanted = tuple[str, int]  # control group, and the process that shows the network, 0 for none
Found = Mapping[str, Figures | None]


class Statistics:
    """Takes samples of containers."""

    def __init__(self, *, book: Book, launcher: Launcher, groups: Groups, cgroup_version: int) -> None:
        self._book, self._launcher = book, launcher
        self._groups, self._version = groups, cgroup_version
        self._pool = Pool("stats", 1)
        self._next: asyncio.Task[Found] | None = None  # the reading that still takes orders
        self._wanted: dict[str, Wanted] = {}  # by container id
        self._busy = asyncio.Lock()

    async def once(self, ref: str, *, pair: bool) -> Stats:
        """A sample now; as a `pair`, with one before it, so that the difference tells of the present. Raises `NotFound`."""
        container = self._book.get(ref)
        before = await self._figures(container) if pair else None
        if before is not None:
            await asyncio.sleep(APART)
            container = self._book.get(container.id)
        return _stats(container, await self._figures(container), before)

    def watch(self, ref: str) -> AsyncIterator[Stats]:
        """A pair, and then a sample each second, until the container is removed. Raises `NotFound` at once."""
        return self._watch(self._book.get(ref))

    async def _watch(self, container: Container) -> AsyncIterator[Stats]:
        if self._book.table.get(container.id) is None:
            return  # it went before anybody listened
        removed = self._book.wait(container.id, "removed")
        try:
            before, pause = await self._figures(container), APART
            while True:
                await asyncio.wait({removed}, timeout=pause)
                current = self._book.table.get(container.id)
                if current is None or removed.done():
                    return
                now = await self._figures(current)
                yield _stats(current, now, before)
                before, pause = now, _until_next(asyncio.get_running_loop().time())
        finally:
            removed.cancel()

    async def _figures(self, container: Container) -> Figures | None:
        """A sample that is taken from now on; None if the container does not run."""
        if not container.state.alive:
            return None
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        pid = container.state.pid if self._launcher.netns(container) else 0
        self._wanted[container.id] = self._groups.of(container), pid
        return (await asyncio.shield(self._next))[container.id]

    async def _read(self) -> Found:
        await asyncio.sleep(0)  # all who were woken together have asked by then
        async with self._busy:
            wanted, self._wanted, self._next = self._wanted, {}, None
            return await self._pool.run("container.stats.read", lambda: self._read_all(wanted))

    def _read_all(self, wanted: Mapping[str, Wanted]) -> Found:
        host = Host.now()
        return {id: read_figures(group, pid, version=self._version, host=host) for id, (group, pid) in wanted.items()}


def _stats(container: Container, now: Figures | None, before: Figures | None) -> Stats:
    return Stats(id=container.id, name=container.name, now=now, before=before)


def _until_next(time: float) -> float:
    """How long to the next whole second that is not too near for figures that mean anything."""
    pause = EVERY - time % EVERY
    return pause if pause >= EVERY / 2 else pause + EVERY
