"""Ending containers on request: signals, stop, restart, removal. These pre-empt a start under way (law 2)."""

from __future__ import annotations

import asyncio
import logging
import signal

import attrs

from wherry.errors import Conflict, Failed, NotFound, NotModified, WherryError
from wherry.model.containers import Container, ExitResult
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_create import Creator
from wherry_engine.engine.container_pause import Pauser
from wherry_engine.engine.container_run import Runner
from wherry_engine.engine.container_streams import Streams
from wherry_engine.engine.container_view import COPY
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.restarts import Restarts
from wherry_engine.engine.signals import parse_signal

KILL_DEADLINE = 10.0  # s that the kernel gets to end a killed process
DEFAULT_GRACE = 10

log = logging.getLogger(__name__)


class Stopper:
    """Ends containers."""

    def __init__(
        self, *, book: Book, actors: Actors, processes: Processes, creator: Creator, runner: Runner, streams: Streams,
        pauser: Pauser, restarts: Restarts,
    ) -> None:  # fmt: skip
        self._book, self._actors, self._processes, self._creator = book, actors, processes, creator
        self._runner, self._streams, self._pauser, self._restarts = runner, streams, pauser, restarts

    # --- signals ---

    async def kill(self, ref: str, text: str) -> None:
        """Send a signal; KILL also waits for the end. Raises `Conflict` if nothing runs."""
        number, prefix = parse_signal(text or "KILL"), f"cannot kill container: {ref}"
        try:
            container = self._book.get(ref)
        except NotFound as error:
            raise NotFound(f"{prefix}: {error.text}") from error
        try:
            if await self._give_up_restart(container.id, "kill"):
                return
            if number == signal.SIGKILL and container.state.alive:
                await self._end_by(container, number, int(KILL_DEADLINE))
            else:
                await self._signal(self._book.get(container.id), number)
        except Conflict as error:
            raise Conflict(f"{prefix}: {error.text}") from error

    async def _signal(self, container: Container, number: int, *, by_user: bool = True) -> None:
        """Send a signal. One that is to end the process wakes a paused container, and forbids the policy to restart it."""
        if not container.state.alive:
            raise Conflict(f"container {container.id} is not running")
        ends = number == signal.SIGKILL or number == parse_signal(container.config.stop_signal or str(number))
        if ends:
            self._restarts.forbid(container.id)
        if by_user:
            await self._note(container.id)
        try:
            await self._processes.kill(container.id, number)
        except NotFound as error:
            raise Conflict(f"container {container.id} is not running") from error
        self._book.emit("kill", container, signal=str(number))
        if ends:
            await self._pauser.wake(container.id)

    async def _note(self, id: str) -> None:
        """Record that it was a user who ended the process, before it can end: the next engine must know too."""
        async with self._actors.turn(f"container/{id}", "signal"):
            container = self._book.table.get(id)
            if container is not None and container.state.alive and not container.manually_stopped:
                noted = attrs.evolve(container, manually_stopped=True)
                await self._book.database.commit(self._book.table.put(noted), sync=False)

    async def _end_by(self, container: Container, number: int, grace: int, *, by_user: bool = True) -> None:
        """Send `number`, then KILL after `grace` s. The caller has just seen that the container has a process."""
        ended = self._book.wait(container.id, "next-exit")
        try:
            for each, deadline in ((number, None if grace < 0 else grace), (signal.SIGKILL, KILL_DEADLINE)):
                try:
                    await self._signal(container, each, by_user=by_user)
                except Conflict:  # it has ended by itself; its end is being recorded
                    deadline = KILL_DEADLINE
                await asyncio.wait({ended}, timeout=deadline)
                if ended.done():
                    return
            raise Failed(f"container {container.name} did not end within {KILL_DEADLINE:g} s of SIGKILL")
        finally:
            ended.cancel()

    # --- stop, restart ---

    async def stop(self, ref: str, timeout: int | None, text: str | None) -> None:
        """Ask the container to end, and kill it after `timeout` s (None: its own, else 10; -1: never)."""
        container = self._book.get(ref)
        if not container.running and not await self._interrupt_start(container.id, "stop"):
            raise NotModified(f"container {container.name} is not running")
        if await self._bring_down(container.id, timeout, text):
            self._book.emit("stop", container)

    async def _bring_down(self, id: str, timeout: int | None, text: str | None, *, by_user: bool = True) -> bool:
        """False if there was nothing to do."""
        if await self._give_up_restart(id, "stop"):
            return True
        container = self._book.table.get(id)
        if container is None or not container.state.alive:
            return False
        number = parse_signal(text or container.config.stop_signal or "TERM")
        await self._end_by(container, number, grace_of(container, timeout), by_user=by_user)
        return True

    async def _interrupt_start(self, id: str, by: str) -> bool:
        """Interrupt a start and wait until it is undone, or has gone too far and is finished; False: there is none."""
        key = f"container/{id}"
        if not self._actors.interrupt(key, by, doing="start"):
            return False
        async with self._actors.turn(key, by):
            return True

    async def _give_up_restart(self, id: str, by: str) -> bool:
        """End a restart that is due or under way; False if there is none, or it has gone too far."""
        container, key = self._book.table.get(id), f"container/{id}"
        if container is None or container.state.status != "restarting":
            return False
        self._restarts.cancel(id)
        self._actors.interrupt(key, by, doing="restart")
        async with self._actors.turn(key, by):
            container = self._book.table.get(id)
            if container is None or container.state.status != "restarting":
                return False
            state = attrs.evolve(container.state, status="exited")
            await self._book.database.commit(
                self._book.table.put(attrs.evolve(container, state=state, manually_stopped=True))
            )
        self._book.ended(id, ExitResult(exit_code=container.state.exit_code))
        return True

    async def restart(self, ref: str, timeout: int | None, text: str | None) -> None:
        """Stop the container if it runs, and start it."""
        container = self._book.get(ref)
        self._restarts.replaced.add(container.id)
        try:
            if await self._bring_down(container.id, timeout, text):
                self._book.emit("stop", container)
        finally:
            self._restarts.replaced.discard(container.id)
        await self._runner.start(container.id)
        self._book.emit("restart", container)

    async def stop_all(self, seconds: int) -> None:
        """At the engine's end: stop all that run, and kill after their own time, or `seconds`, those that do not end."""

        async def stop(container: Container) -> None:
            grace = grace_of(container, None)
            try:
                await self._bring_down(
                    container.id, min(grace if grace >= 0 else seconds, seconds), None, by_user=False
                )
            except WherryError as error:
                log.warning("container %s was left running: %s", container.name, error)

        await asyncio.gather(*(stop(container) for container in self._book.table if container.state.alive))

    # --- removal ---

    async def remove(self, ref: str, *, force: bool, volumes: bool) -> None:
        """Remove a container, with `force` also a running one, which is killed."""
        id = self._book.get(ref).id
        left = None
        while left is None:
            if force:
                await self._force_down(id)
            async with self._actors.turn(f"container/{id}", "remove"):
                left = self._book.table.get(id)
                if left is None:
                    return
                if left.running:
                    if not force:
                        raise Conflict(_refusal(left))
                    left = None  # started again meanwhile
                    continue
                await self._creator.remove(left, volumes=volumes)
        self._streams.drop(id)

    async def _force_down(self, id: str) -> None:
        self._actors.interrupt(f"container/{id}", "rm", doing=COPY)  # its client may be as slow as it likes
        await self._interrupt_start(id, "rm")
        if await self._give_up_restart(id, "rm"):
            return
        container = self._book.table.get(id)
        if container is not None and container.state.alive:
            await self._end_by(container, signal.SIGKILL, int(KILL_DEADLINE))


def grace_of(container: Container, timeout: int | None) -> int:
    """Seconds between the asking and the killing; -1 is for ever."""
    given = timeout if timeout is not None else container.config.stop_timeout
    return DEFAULT_GRACE if given is None else given


def _refusal(container: Container) -> str:
    status = container.state.status
    remedy = (
        " and must be unpaused first" if status == "paused" else ": stop the container before removing or force remove"
    )
    return f'cannot remove container "/{container.name}": container is {status}{remedy}'
