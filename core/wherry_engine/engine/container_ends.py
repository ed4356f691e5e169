"""How containers end: an exit is recorded once, what belonged to the process is taken away, and its policy decides."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wherry.model.containers import Container, ExitResult, State
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book, stopped
from wherry_engine.engine.container_create import Creator
from wherry_engine.engine.container_launch import Launcher, Parts
from wherry_engine.engine.container_run import Runner
from wherry_engine.engine.health import halted
from wherry_engine.engine.health_probes import Prober
from wherry_engine.engine.processes import ProcessExit
from wherry_engine.engine.restarts import Restarts, wants_start
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change

AGAIN, LONGEST = 1.0, 60.0  # s
_LOST = "the container's process ended while nobody could see it, as at a restart of the host"

log = logging.getLogger(__name__)


class Ends:
    """Records the ends of containers."""

    def __init__(
        self, *, book: Book, journal: Journal, actors: Actors, parts: Parts, launcher: Launcher, creator: Creator,
        runner: Runner, restarts: Restarts, prober: Prober,
    ) -> None:  # fmt: skip
        self._book, self._journal, self._actors, self._parts = book, journal, actors, parts
        self._launcher, self._creator, self._runner, self._restarts = launcher, creator, runner, restarts
        self._prober = prober
        self._tasks: set[asyncio.Task[None]] = set()
        journal.register("container.end", self._finish_end)

    def on_exit(self, exit: ProcessExit, again: float = AGAIN) -> None:
        """A container's process has ended; called once for each end, also for those of an earlier engine's time.

        What cannot be recorded or taken away now is tried again after `again` s, and then after twice as long.
        """
        task = asyncio.create_task(self._end(exit, again), name=f"end of {exit.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, exit: ProcessExit, again: float) -> None:
        async with self._actors.turn(f"container/{exit.id}", "end"):
            container = self._book.table.get(exit.id)
            if container is None or not container.state.alive:
                return  # a start that failed has undone itself
            self._prober.unwatch(exit.id)
            restart = self._restarts.wanted(container, exit.status)
            remove = container.host.auto_remove and not restart and exit.id not in self._restarts.replaced
            try:
                await self._journal.forward(
                    "container.end", exit.id, sync=False, exit=attrs.asdict(exit), restart=restart, remove=remove
                )
            except Exception:
                log.exception("the end of container %s could not be recorded; that is tried again", exit.id)
                longer = min(2 * again, LONGEST)
                asyncio.get_running_loop().call_later(again, self.on_exit, exit, longer)
                return
            if remove:
                await self._creator.release(container)

    def _tell(self, container: Container, exit: ProcessExit, seconds: int) -> None:
        """The end has just been recorded, by whomever."""
        self._runner.emit_places(container, taken=False)
        self._book.emit("die", container, exitCode=str(exit.status), execDuration=str(seconds))
        removed = self._book.table.get(exit.id) is None
        if removed:
            self._book.emit("destroy", container)
        self._book.ended(exit.id, ExitResult(exit_code=exit.status, error=exit.error), removed=removed)
        if exit.oom_killed:
            self._book.emit("oom", container)

    async def _finish_end(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        container, exit = self._book.table.get(id), ProcessExit(**data["exit"])
        if container is None or not container.state.alive:
            return ()
        await self._launcher.teardown(container, container.networks)
        if data["remove"]:
            (row,) = await self._creator.erase(container, volumes=True)
        else:
            row = self._book.table.put(_after(container, exit, restart=data["restart"]))

        def ended() -> None:
            row.publish()
            ran = max(0.0, (exit.at_ns - container.state.started_ns) / 1e9)
            self._tell(container, exit, int(ran))
            if data["restart"]:
                self._restarts.schedule(id, ran, self._runner.start_again)

        return (attrs.evolve(row, publish=ended),)

    async def adopt(self) -> None:
        """At the engine's start, after the journal: what ran goes on running or has ended meanwhile; policies apply."""
        known = {info.id: info for info in await self._parts.processes.list()}
        for container in tuple(self._book.table):
            if container.state.alive:
                info = known.get(container.id)
                if info is None:
                    self.on_exit(ProcessExit(container.id, 255, time.time_ns(), False, _LOST))
                elif info.exit is not None:
                    self.on_exit(info.exit)
            elif container.state.status == "restarting":
                self._restarts.schedule(container.id, 0.0, self._runner.start_again)
            elif container.host.auto_remove and container.state.started_ns:  # a restart by hand came no further
                await self._creator.remove(container, volumes=True)
            elif wants_start(container):
                self._restarts.start_soon(container.id, self._runner.start)
        await self.settled()

    def adopt_places(self) -> None:
        """At the engine's start, before the journal: what is undone must spare what those who run have."""
        for container in self._book.table:
            if container.state.alive:
                self._parts.endpoints.adopt(container)
                for point in container.mounts:
                    if point.type == "volume":
                        self._parts.volumes.adopt(point.name, container.id)

    async def settled(self) -> None:
        """Wait for the ends that are being recorded."""
        while self._tasks:
            await asyncio.wait(self._tasks)


def _after(container: Container, exit: ProcessExit, *, restart: bool) -> Container:
    """As its record is from now on."""
    state = State(
        status="restarting" if restart else "exited",
        exit_code=exit.status,
        error=exit.error,
        oom_killed=exit.oom_killed,
        started_ns=container.state.started_ns,
        finished_ns=exit.at_ns,
        health=halted(container.state.health),
    )
    count = container.restart_count + 1 if restart else container.restart_count
    return attrs.evolve(stopped(container, state), restart_count=count)
