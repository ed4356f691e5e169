"""Asking containers whether they are well: a probe is an exec, its result is recorded, a change is told.

What is known survives the engine: the next one goes on where this one was, and ends the probes that it left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

import attrs

from wherry.errors import WherryError
from wherry.model.containers import Container, Health, HealthResult
from wherry.model.execs import ExecSpec
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.exec_streams import Receive
from wherry_engine.engine.execs import Execs
from wherry_engine.engine.health import OUTPUT, SECOND, Check, check_of, judged, pause_before, shown_output

FAILED = -1  # the exit code of a probe that took too long or could not begin

log = logging.getLogger(__name__)


class Prober:
    """The probes of all containers that run and have a check: one task a container."""

    def __init__(self, book: Book, actors: Actors, execs: Execs) -> None:
        self._book, self._actors, self._execs = book, actors, execs
        self._watched: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def adopt(self) -> None:
        """At the engine's start: containers that run are asked as before."""
        for id in self._execs.probes():
            with suppress(WherryError):
                await self._execs.end(id)
        for container in self._book.table:
            if container.state.status == "running":
                health = container.state.health
                last = health.log[-1].end_ns if health and health.log else 0
                self.watch(container, max(last, container.state.started_ns))

    def watch(self, container: Container, since_ns: int) -> None:
        """Ask this run of the container from now on; the time to the first probe counts from `since_ns`."""
        self.unwatch(container.id)
        check = check_of(container.config)
        if check is not None:
            task = asyncio.create_task(self._watch(container, check, since_ns), name=f"health of {container.id}")
            self._watched[container.id] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def unwatch(self, id: str) -> None:
        """Ask no more: the container has ended or is paused."""
        if task := self._watched.pop(id, None):
            task.cancel()

    async def close(self) -> None:
        """The engine ends."""
        for id in tuple(self._watched):
            self.unwatch(id)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _watch(self, container: Container, check: Check, since_ns: int) -> None:
        health, started = container.state.health, container.state.started_ns
        while health is not None:
            due = since_ns + pause_before(health, check, started, since_ns)
            await asyncio.sleep(max(0, due - time.time_ns()) / SECOND)
            result = await self._probe(container, check)
            since_ns = result.end_ns
            health = await self._record(container, check, result)

    async def _probe(self, container: Container, check: Check) -> HealthResult:
        begun, output = time.time_ns(), bytearray()

        def received(_stream: str, data: bytes) -> None:
            output.extend(data[: OUTPUT + 1 - len(output)])

        try:
            code = await self._run(container, check, received)
            text = shown_output(bytes(output))
        except TimeoutError:
            code, text = FAILED, f"Health check exceeded timeout ({_words(check.timeout)})"
            text += f": {shown_output(bytes(output))}" if output else ""
        except (WherryError, OSError) as error:
            code, text = FAILED, error.text if isinstance(error, WherryError) else str(error)
        return HealthResult(start_ns=begun, end_ns=time.time_ns(), exit_code=code, output=text)

    async def _run(self, container: Container, check: Check, received: Receive) -> int:
        """The probe's exit code. Raises TimeoutError; whatever happens, nothing of it goes on."""
        end = asyncio.get_running_loop().time() + check.timeout / SECOND
        spec = ExecSpec(command=check.command, stdout=True, stderr=True, probe=True)
        id = self._execs.create(container.id, spec)
        streams = await self._execs.start(id)
        try:
            streams.listen(received)
            async with asyncio.timeout_at(end):
                await streams.ended.wait()
        finally:
            if not streams.ended.is_set():
                with suppress(WherryError):
                    await self._execs.end(id)
        code = self._execs.get(id).exit_code
        return FAILED if code is None else code

    async def _record(self, container: Container, check: Check, result: HealthResult) -> Health | None:
        """The health from now on; None if this run of the container is over, or paused."""
        async with self._actors.turn(f"container/{container.id}", "health"):
            now = self._book.table.get(container.id)
            if now is None or now.state.status != "running" or now.state.started_ns != container.state.started_ns:
                return None
            before = now.state.health or Health()
            after = judged(before, result, check, now.state.started_ns)
            now = attrs.evolve(now, state=attrs.evolve(now.state, health=after))
            try:
                await self._book.database.commit(self._book.table.put(now), sync=False)
            except WherryError as error:
                log.warning("the health of container %s could not be recorded: %s", now.name, error)
                return before
        if after.status != before.status:
            self._book.emit(f"health_status: {after.status}", now)
        return after


def _words(nanoseconds: int) -> str:
    """As Go writes it for what checks have: 500ms, 2s, 1m30s."""
    seconds, rest = divmod(nanoseconds, SECOND)
    if not seconds:
        return f"{rest / 1e6:g}ms"
    minutes, left = divmod(nanoseconds / SECOND, 60)
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{left:g}s"
