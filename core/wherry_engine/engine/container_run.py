"""Starting, stopping and ending containers: what happens between two states."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Conflict, Failed, Invalid, NotFound, NotModified, WherryError
from wherry.model.containers import Container, ExitResult, State
from wherry.model.networks import EndpointRecord
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_create import Creator
from wherry_engine.engine.container_launch import Launched, Launcher, Parts
from wherry_engine.engine.container_streams import Streams
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.processes import ProcessExit
from wherry_engine.engine.start_errors import failure_code, start_error
from wherry_engine.journal.journal import Journal, Operation
from wherry_engine.state.codec import from_data, to_data
from wherry_engine.state.database import Change

KILL_DEADLINE = 10.0  # s that the kernel gets to end a killed process
DEFAULT_GRACE = 10

log = logging.getLogger(__name__)


def parse_signal(text: str) -> signal.Signals:
    """`TERM`, `SIGTERM` or `15`. Raises `Invalid`."""
    try:
        if text.isdecimal():
            return signal.Signals(int(text))
        name = text.upper().removeprefix("SIG")
        return signal.Signals[f"SIG{name}"]
    except (KeyError, ValueError) as error:
        raise Invalid(f"Invalid signal: {text}") from error


class Runner:
    """Runs containers."""

    def __init__(
        self, *, book: Book, journal: Journal, actors: Actors, parts: Parts, launcher: Launcher, creator: Creator,
        streams: Streams, networks: Networks,
    ) -> None:  # fmt: skip
        self._book, self._journal, self._actors, self._parts = book, journal, actors, parts
        self._launcher, self._creator, self._streams, self._networks = launcher, creator, streams, networks
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: set[str] = set()
        journal.register("container.start", self._undo_start)
        journal.register("container.launch", self._finish_launch)
        journal.register("container.end", self._finish_end)

    # --- start ---

    async def start(self, ref: str) -> None:
        """Start a container. Raises `NotModified` if it runs; a failure names the step, and is recorded."""
        id = self._book.get(ref).id
        async with self._actors.turn(f"container/{id}", "start"):
            container = self._book.get(id)
            if container.running:
                raise NotModified(f"container {container.name} is running already")
            try:
                await self._start(container)
            except WherryError as error:
                await self._record_failure(container, error)
                raise

    async def _start(self, container: Container) -> None:
        planned = await self._parts.endpoints.plan(container)
        try:
            async with self._journal.operation(
                "container.start", container.id, sync=False, networks=to_data(planned)
            ) as operation:
                launched = await self._launcher.launch(operation.id, container, planned)
                running = _running(container, launched, planned)
                await operation.continue_as("container.launch", self._book.table.put(running))
                self._emit_networks("connect", running)
                await self._streams.hand_over(container.id)
                await self._begin(operation, running)
        except OSError as error:  # the operating system's word on one of our own steps
            raise Failed(f"failed to start container {container.name}: {error}") from error
        finally:
            if not self._book.get(container.id).running:
                self._parts.endpoints.release(container.id)
        self._book.emit("start", running)

    async def _begin(self, operation: Operation, running: Container) -> None:
        """The user's process begins; if it cannot, the record of its run is taken back."""
        try:
            await self._parts.processes.start(running.id)
        except WherryError as error:
            await self._launcher.teardown(running, running.networks)
            await operation.commit(self._book.table.put(_stopped(running, running.state)))
            self._emit_networks("disconnect", running)
            raise start_error(running, error) from error
        await operation.commit(sync=False)

    async def _record_failure(self, container: Container, error: WherryError) -> None:
        code = failure_code(error)
        state = attrs.evolve(container.state, exit_code=code, error=error.text)
        failed = attrs.evolve(
            self._book.get(container.id), state=attrs.evolve(state, status=container.state.status, pid=0)
        )
        self._streams.drop(container.id)
        if container.host.auto_remove:
            await self._creator.remove(container, volumes=True)
            self._book.emit("destroy", container)
        else:
            await self._book.database.commit(self._book.table.put(failed))
        self._book.ended(container.id, ExitResult(exit_code=code), removed=container.host.auto_remove)

    async def _undo_start(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        container = self._book.table.get(id)
        if container is not None:
            planned = {name: from_data(each, EndpointRecord) for name, each in data["networks"].items()}
            await self._launcher.teardown(container, planned)
        return ()

    async def _finish_launch(self, id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """After a kill between commit and start: go on. A process that was started already says so, which is fine."""
        container = self._book.table.get(id)
        if container is None or not container.running:
            return ()
        try:
            await self._parts.processes.start(id)
        except WherryError as error:
            log.info("container %s was started before: %s", id, error)
        return ()

    # --- stop, kill, restart ---

    async def kill(self, ref: str, text: str) -> None:
        """Send a signal. Raises `Conflict` if nothing runs."""
        container, number = self._book.get(ref), parse_signal(text or "KILL")
        await self._kill(container, number)

    async def _kill(self, container: Container, number: signal.Signals) -> None:
        if not container.running:
            raise Conflict(f"cannot kill container: {container.id}: container {container.id} is not running")
        try:
            await self._parts.processes.kill(container.id, number)
        except NotFound as error:
            raise Conflict(f"cannot kill container: {container.id}: container {container.id} is not running") from error
        self._book.emit("kill", container, signal=str(int(number)))

    async def stop(self, ref: str, timeout: int | None, text: str | None) -> None:
        """Ask the container to end, and kill it after `timeout` s (None: its own, else 10; -1: never)."""
        container = self._book.get(ref)
        if not container.running:
            if self._actors.interrupt(f"container/{container.id}", "stop", doing="start"):
                return
            raise NotModified(f"container {container.name} is not running")
        number = parse_signal(text or container.config.stop_signal or "TERM")
        grace = timeout if timeout is not None else container.config.stop_timeout
        await self._end_by(container, number, DEFAULT_GRACE if grace is None else grace)
        self._book.emit("stop", container)

    async def _end_by(self, container: Container, number: signal.Signals, grace: int) -> None:
        ended = self._book.wait(container.id, "not-running")
        self._stopping.add(container.id)
        try:
            for each, deadline in ((number, None if grace < 0 else grace), (signal.SIGKILL, KILL_DEADLINE)):
                try:
                    await self._kill(container, each)
                except Conflict:  # it has ended by itself; its end is being recorded
                    deadline = KILL_DEADLINE
                await asyncio.wait({ended}, timeout=deadline)
                if ended.done():
                    return
            raise Failed(f"container {container.name} did not end within {KILL_DEADLINE:g} s of SIGKILL")
        finally:
            self._stopping.discard(container.id)
            ended.cancel()

    async def restart(self, ref: str, timeout: int | None, text: str | None) -> None:
        """Stop the container if it runs, and start it."""
        container = self._book.get(ref)
        if container.running:
            await self.stop(container.id, timeout, text)
        await self.start(container.id)
        self._book.emit("restart", container)

    async def remove(self, ref: str, *, force: bool, volumes: bool) -> None:
        """Remove a container, with `force` also a running one, which is killed."""
        container = self._book.get(ref)
        key = f"container/{container.id}"
        if force:
            self._actors.interrupt(key, "rm", doing="start")
        if container.running:
            if not force:
                raise Conflict(
                    f'cannot remove container "{container.name}": container is running: stop the container before removing '
                    "or force remove"
                )
            await self._end_by(container, signal.SIGKILL, int(KILL_DEADLINE))
        async with self._actors.turn(key, "remove"):
            left = self._book.table.get(container.id)
            if left is None:
                return
            if left.running:
                raise Conflict(f'cannot remove container "{left.name}": it was started again meanwhile')
            await self._creator.remove(left, volumes=volumes)
        self._streams.drop(left.id)
        self._book.emit("destroy", left)
        self._book.ended(left.id, ExitResult(exit_code=left.state.exit_code), removed=True)

    # --- the end ---

    def on_exit(self, exit: ProcessExit) -> None:
        """A container's process has ended; called once for each end, also for those of an earlier engine's time."""
        task = asyncio.create_task(self._end(exit), name=f"end of {exit.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, exit: ProcessExit) -> None:
        async with self._actors.turn(f"container/{exit.id}", "end"):
            container = self._book.table.get(exit.id)
            if container is None or not container.running:
                return  # a start that failed has undone itself
            try:
                await self._journal.forward("container.end", exit.id, sync=False, exit=attrs.asdict(exit))
            except Exception:
                log.exception(
                    "the end of container %s could not be recorded; the next start of the engine does it", exit.id
                )
                return
            self._emit_networks("disconnect", container)
            self._book.emit("die", container, exitCode=str(exit.status), execDuration=str(_seconds(container, exit)))
            removed = self._book.table.get(exit.id) is None
            if removed:
                self._book.emit("destroy", container)
            self._book.ended(exit.id, ExitResult(exit_code=exit.status, error=exit.error), removed=removed)
            if exit.oom_killed:
                self._book.emit("oom", container)

    async def _finish_end(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        container, exit = self._book.table.get(id), ProcessExit(**data["exit"])
        if container is None or not container.running:
            return ()
        await self._launcher.teardown(container, container.networks)
        state = State(
            status="exited",
            exit_code=exit.status,
            error=exit.error,
            oom_killed=exit.oom_killed,
            started_ns=container.state.started_ns,
            finished_ns=exit.at_ns,
        )
        if container.host.auto_remove:
            return await self._creator.erase(container, volumes=True)
        stopped = attrs.evolve(_stopped(container, state), manually_stopped=id in self._stopping)
        return (self._book.table.put(stopped),)

    async def adopt(self) -> None:
        """At the engine's start, after the journal: what ran goes on running, or has ended meanwhile."""
        known = {info.id: info for info in await self._parts.processes.list()}
        for container in [c for c in self._book.table if c.running]:
            self._parts.endpoints.adopt(container)
            for point in container.mounts:
                if point.type == "volume":
                    self._parts.volumes.adopt(point.name, container.id)
            info = known.get(container.id)
            if info is None:
                lost = "the container's process ended while nobody could see it, as at a restart of the host"
                self.on_exit(ProcessExit(container.id, 255, time.time_ns(), False, lost))
            elif info.exit is not None:
                self.on_exit(info.exit)
        await self.settled()

    async def settled(self) -> None:
        """Wait for the ends that are being recorded."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _emit_networks(self, action: str, container: Container) -> None:
        for name, record in container.networks.items():
            network = self._networks.table.get(record.network_id)
            driver = network.spec.driver if network else name
            self._book.emit_network(action, container, name, record.network_id, driver)


def _running(container: Container, launched: Launched, planned: Mapping[str, EndpointRecord]) -> Container:
    state = State(status="running", pid=launched.pid, started_ns=time.time_ns())
    return attrs.evolve(container, state=state, networks=dict(planned), ports=launched.ports, manually_stopped=False)


def _stopped(container: Container, state: State) -> Container:
    """Without process, ports and addresses; the networks that it belongs to stay."""
    networks = {n: EndpointRecord(network_id=r.network_id, spec=r.spec) for n, r in container.networks.items()}
    return attrs.evolve(container, state=attrs.evolve(state, pid=0), networks=networks, ports=())


def _seconds(container: Container, exit: ProcessExit) -> int:
    return max(0, (exit.at_ns - container.state.started_ns) // 10**9)
