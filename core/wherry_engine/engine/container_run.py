"""Starting containers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Conflict, Failed, NotModified, WherryError
from wherry.model.containers import Container, ExitResult, State
from wherry.model.networks import EndpointRecord
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book, stopped
from wherry_engine.engine.container_create import Creator
from wherry_engine.engine.container_launch import Launched, Launcher, Parts
from wherry_engine.engine.container_streams import Streams
from wherry_engine.engine.health import begun
from wherry_engine.engine.health_probes import Prober
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.restarts import Restarts
from wherry_engine.engine.start_errors import failure_code, start_error
from wherry_engine.journal.journal import Journal, Operation
from wherry_engine.state.codec import from_data, to_data
from wherry_engine.state.database import Change
from wherry_engine.work import to_the_end

log = logging.getLogger(__name__)


class Runner:
    """Starts containers."""

    def __init__(
        self, *, book: Book, journal: Journal, actors: Actors, parts: Parts, launcher: Launcher, creator: Creator,
        streams: Streams, networks: Networks, restarts: Restarts, prober: Prober,
    ) -> None:  # fmt: skip
        self._book, self._journal, self._actors, self._parts = book, journal, actors, parts
        self._launcher, self._creator, self._streams, self._networks = launcher, creator, streams, networks
        self._restarts, self._prober = restarts, prober
        journal.register("container.start", self._undo_start)
        journal.register("container.launch", self._finish_launch)

    async def start(self, ref: str) -> None:
        """Start a container. Raises `NotModified` if it runs; a failure names the step, and is recorded."""
        id = self._book.get(ref).id
        async with self._actors.turn(f"container/{id}", "start"):
            container = self._book.get(id)
            if container.state.status == "paused":
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.running:
                raise NotModified(f"container {container.name} is running already")
            self._restarts.reset(id)
            try:
                await self._start(attrs.evolve(container, restart_count=0))
            except WherryError as error:
                # A record that could not be taken back says that it runs, and its end is to come.
                if not self._book.get(id).state.alive:
                    await self._record_failure(container, error)
                raise

    async def start_again(self, id: str) -> None:
        """Start a container whose policy restarts it. As in Docker, a start that fails is not tried again."""
        async with self._actors.turn(f"container/{id}", "restart"):
            container = self._book.table.get(id)
            if container is None or container.state.status != "restarting":
                return
            try:
                await self._start(container)
            except WherryError as error:
                if self._book.get(id).state.alive:
                    raise
                state = attrs.evolve(container.state, status="exited", error=error.text)
                self._streams.drop(id)
                await self._book.database.commit(self._book.table.put(attrs.evolve(container, state=state)))
                self._book.ended(id, ExitResult(exit_code=state.exit_code, error=state.error))
                raise

    async def _start(self, container: Container) -> None:
        planned = await self._parts.endpoints.plan(container)
        try:
            async with self._journal.operation(
                "container.start", container.id, sync=False, networks=to_data(planned)
            ) as operation:
                launched = await self._launcher.launch(operation.id, container, planned)
                await to_the_end(self._begin(operation, container, _running(container, launched, planned)))
        except OSError as error:  # the operating system's word on one of our own steps
            raise Failed(f"failed to start container {container.name}: {error}") from error
        finally:
            self._parts.endpoints.entered(container.id)
            if not self._book.get(container.id).state.alive:
                self._parts.endpoints.release(container.id)

    async def _begin(self, operation: Operation, before: Container, running: Container) -> None:
        """The container counts as started, and its user's process begins. If that cannot be, the record of its run is taken
        back, and what is left is that of any start that fails. Nobody interrupts this: those who want to come after it.
        """
        await operation.continue_as("container.launch", self._book.table.put(running))
        self.emit_places(running, taken=True)
        try:
            await self._streams.hand_over(running.id)
            await self._parts.processes.start(running.id)
        except (WherryError, OSError) as error:
            await operation.continue_as("container.start", self._book.table.put(stopped(running, before.state)))
            self.emit_places(running, taken=False)
            if isinstance(error, OSError):
                raise
            raise start_error(running, error) from error
        await operation.commit(sync=False)
        self._book.emit("start", running)
        self._prober.watch(running, running.state.started_ns)

    async def _record_failure(self, container: Container, error: WherryError) -> None:
        code = failure_code(error)
        state = attrs.evolve(container.state, exit_code=code, error=error.text)
        failed = attrs.evolve(
            self._book.get(container.id), state=attrs.evolve(state, status=container.state.status, pid=0)
        )
        self._streams.drop(container.id)
        await self._book.database.commit(self._book.table.put(failed))
        if container.host.auto_remove:
            await self._creator.remove(failed, volumes=True)
        self._book.ended(container.id, ExitResult(exit_code=code))

    async def _undo_start(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        container = self._book.table.get(id)
        if container is not None:
            planned = {name: from_data(each, EndpointRecord) for name, each in data["networks"].items()}
            await self._launcher.teardown(container, planned)
        return ()

    async def _finish_launch(self, id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """After a kill between commit and start: go on. A process that was started already says so, which is fine."""
        container = self._book.table.get(id)
        if container is None or not container.state.alive:
            return ()
        try:
            await self._parts.processes.start(id)
        except WherryError as error:
            log.info("container %s was started before: %s", id, error)
        return ()

    def emit_places(self, container: Container, *, taken: bool) -> None:
        """Say that the container took its places in networks and its volumes, or left them."""
        for name, record in container.networks.items():
            network = self._networks.table.get(record.network_id)
            driver = network.kind if network else name
            self._book.emit_network("connect" if taken else "disconnect", container, name, record.network_id, driver)
        for point in container.mounts:
            if point.type == "volume":
                self._book.emit_volume(container, point, mounted=taken)


def _running(container: Container, launched: Launched, planned: Mapping[str, EndpointRecord]) -> Container:
    health = begun(container.config, container.state.health)
    state = State(status="running", pid=launched.pid, started_ns=time.time_ns(), health=health)
    return attrs.evolve(container, state=state, networks=dict(planned), ports=launched.ports, manually_stopped=False)
