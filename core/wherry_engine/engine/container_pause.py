"""Pausing containers: their control group is frozen, which is quick and which no process notices."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs

from wherry.errors import Conflict, Failed
from wherry.linux import cgroups
from wherry.model.containers import Container, Status
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.health import halted
from wherry_engine.engine.health_probes import Prober
from wherry_engine.journal.journal import Intent, Journal
from wherry_engine.state.database import Change
from wherry_engine.work import Pool, to_the_end


class Pauser:
    """Pauses containers and lets them go on. Frozen processes die with the host, and so nothing here is synced."""

    def __init__(self, *, book: Book, journal: Journal, actors: Actors, prober: Prober, groups: Groups) -> None:
        self._prober = prober
        self._book, self._journal, self._actors, self._groups = book, journal, actors, groups
        self._pool = Pool("freezer", 4)
        journal.register("container.pause", self._undo)
        journal.register("container.unpause", self._undo)
        journal.register("container.hold", self._let_go)

    async def pause(self, ref: str) -> None:
        """Freeze the container. Raises `Conflict` if it does not run or is paused already."""
        id = self._book.get(ref).id
        async with self._actors.turn(f"container/{id}", "pause"):
            container = self._book.get(id)
            if container.state.status == "paused":
                raise Conflict(f"container {id} is already paused")
            check_running(container)
            async with self._journal.operation("container.pause", id, sync=False) as operation:
                await self._freeze(container)
                await operation.commit(self._with_status(container, "paused"), sync=False)
            self._prober.unwatch(id)
            self._book.emit("pause", container)

    async def unpause(self, ref: str) -> None:
        """Let the container go on. Raises `Failed` if it is not paused, as Docker does."""
        id = self._book.get(ref).id
        if not await self.wake(id):
            raise Failed(f"container {id} is not paused")

    async def wake(self, id: str) -> bool:
        """Let the container go on; False if it is not paused."""
        async with self._actors.turn(f"container/{id}", "unpause"):
            return await self._wake(id)

    async def _wake(self, id: str) -> bool:
        container = self._book.table.get(id)
        if container is None or container.state.status != "paused":
            return False
        async with self._journal.operation("container.unpause", id, sync=False) as operation:
            try:
                await self._pool.run("container.unpause.thaw", lambda: cgroups.thaw(self._groups.of(container)))
            except OSError as error:
                raise Failed(f"cannot unpause container {id}: {error}") from error
            await operation.commit(self._with_status(container, "running"), sync=False)
        self._prober.watch(container, time.time_ns())
        self._book.emit("unpause", container)
        return True

    @asynccontextmanager
    async def hold(self, id: str) -> AsyncIterator[None]:
        """The container stands still while the block runs, if it runs and is not paused; then it goes on, whatever happens.

        It counts as paused meanwhile, and who kills or unpauses it need not wait for the block.
        """
        async with AsyncExitStack() as stack:
            intent = None
            async with self._actors.turn(f"container/{id}", "pause"):
                container = self._book.get(id)
                if container.state.status == "running":
                    operation = await stack.enter_async_context(
                        self._journal.operation("container.hold", id, sync=False)
                    )
                    intent = operation.intent
                    await self._freeze(container)
                    await self._book.database.commit(self._with_status(container, "paused"), sync=False)
                    self._prober.unwatch(id)
                    self._book.emit("pause", container)
            try:
                yield
            finally:
                if intent is not None:
                    await to_the_end(self._release(id, intent))

    async def _release(self, id: str, intent: Intent) -> None:
        async with self._actors.turn(f"container/{id}", "unpause"):
            await self._journal.finish_quietly(intent)

    async def _let_go(self, id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """In the container's turn, if anybody else can have it."""
        await self._wake(id)
        return await self._undo(id, {})

    async def _freeze(self, container: Container) -> None:
        try:
            await self._pool.run("container.pause.freeze", lambda: cgroups.freeze(self._groups.of(container)))
        except OSError as error:
            raise Failed(f"cannot pause container {container.id}: {error}") from error

    async def _undo(self, id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """The control group is again as the record says."""
        container = self._book.table.get(id)
        if container is not None and container.state.alive:
            act = cgroups.freeze if container.state.status == "paused" else cgroups.thaw
            await self._pool.run("container.pause.undo", lambda: act(self._groups.of(container)))
        return ()

    def _with_status(self, container: Container, status: Status) -> Change:
        health = halted(container.state.health)  # also of one that goes on, until its next probe
        state = attrs.evolve(container.state, status=status, health=health)
        return self._book.table.put(attrs.evolve(container, state=state))


def check_running(container: Container) -> None:
    """Raises `Conflict` in Docker's words if the container has no process."""
    if container.state.status == "restarting":
        raise Conflict(f"container {container.id} is restarting, wait until the container is running")
    if not container.state.alive:
        raise Conflict(f"container {container.id} is not running")
