"""Smaller things that are done to containers: another name, a look at the processes, the removal of all that do not run."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import cast

import attrs

from wherry.errors import Conflict, Failed, Invalid, WherryError
from wherry.linux import cgroups
from wherry.model.containers import Container, PrunedContainers
from wherry.model.names import container_name
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_launch import Launcher
from wherry_engine.engine.container_pause import check_running
from wherry_engine.engine.container_stop import Stopper
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.events import Events
from wherry_engine.engine.filter_values import moment
from wherry_engine.engine.filters import Filters
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.processes import Processes

PS_DEADLINE = 20.0  # s
# An alias of the pid's column would hide it from us, and so would a sum of columns that begins with it.
_HIDDEN_PID = re.compile(r"\s+(\S+)=\s*(PID\S*)")

log = logging.getLogger(__name__)

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # titles, rows


class Verbs:
    """What may be done to containers besides starting and ending them."""

    def __init__(
        self, *, book: Book, actors: Actors, events: Events, processes: Processes, launcher: Launcher,
        endpoints: Endpoints, stopper: Stopper, groups: Groups,
    ) -> None:  # fmt: skip
        self._book, self._actors, self._events, self._processes = book, actors, events, processes
        self._launcher, self._endpoints, self._stopper = launcher, endpoints, stopper
        self._groups = groups
        self._pruning = False

    async def rename(self, ref: str, name: str) -> None:
        """Give a container another name. Raises `Conflict` if it is taken, `Invalid`."""
        name = name.removeprefix("/")
        if not ref or not name:
            raise Invalid("Neither old nor new names may be empty")
        id = self._book.get(ref).id
        async with self._actors.turn(f"container/{id}", "rename"):
            container = self._book.get(id)
            if container.name == name:
                raise Invalid("Renaming a container with the same name as its current name")
            try:
                with self._book.reserved(container_name(name), id):
                    renamed = self._endpoints.named(attrs.evolve(container, name=name))
                    await self._book.database.commit(self._book.table.put(renamed))
            except (Conflict, Invalid) as error:
                raise type(error)(f"Error when allocating new name: {error.text}") from error
            self._book.emit("rename", renamed, oldName=f"/{container.name}")
            try:
                await self._endpoints.tell_names(renamed)
            except WherryError as error:  # the record counts; services hear the whole at the engine's next start
                log.warning("the new name of container %s is not told to every service: %s", name, error)

    async def top(self, ref: str, arguments: str) -> Table:
        """The container's processes as the host's ps shows them with these arguments ("" is -ef)."""
        container = self._book.get(ref)
        check_running(container)
        if match := _HIDDEN_PID.search(f" {arguments}"):
            raise Failed(f'specifying "{match[1]}={match[2]}" is not allowed')
        pids = cgroups.processes(self._groups.of(container))
        words = (arguments or "-ef").split()
        output = await self._processes.job("ps", {"arguments": words, "pids": sorted(pids)}, deadline=PS_DEADLINE)
        self._book.emit("top", container)
        return parse_ps(cast(str, output), pids)

    async def prune(self, filters: Filters) -> PrunedContainers:
        """Remove the containers that do not run and match. Raises `Conflict` while another prune is at it."""
        if self._pruning:
            raise Conflict("a prune operation is already running")
        now = time.time_ns()
        until = min((moment("until", value, now) for value in filters.get("until")), default=now)
        self._pruning = True
        try:
            removed, space = [], 0
            for container in self._book.list():
                if not container.running and container.created_ns <= until and filters.labels(container.config.labels):
                    size = await self._remove(container)
                    if size is not None:
                        removed.append(container.id)
                        space += size
        finally:
            self._pruning = False
        self._events.emit("container", "prune", "", {"reclaimed": str(space)})
        return PrunedContainers(removed=tuple(removed), space=space)

    async def _remove(self, container: Container) -> int | None:
        """The bytes that a container's own layer had; None if it could not be removed, as when it was started meanwhile."""
        size = await self._size(container)
        try:
            await self._stopper.remove(container.id, force=False, volumes=False)
        except WherryError as error:
            log.warning("container %s was not pruned: %s", container.name, error)
            return None
        return size

    async def _size(self, container: Container) -> int:
        try:
            return (await self._launcher.size(container))[0]
        except WherryError as error:  # what cannot be measured can be removed
            log.info("the size of container %s is not known: %s", container.name, error)
            return 0


def parse_ps(output: str, pids: set[int]) -> Table:
    """The titles and those rows that are of these processes, each with as many fields as there are titles."""
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise Failed("Couldn't find PID field in ps output")
    column, ours, rows = titles.index("PID"), False, []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) <= column:
            continue
        pid = fields[column]
        # Threads, where ps shows them, follow their process with a dash for its number.
        ours = ours if pid == "-" else pid.isdecimal() and int(pid) in pids
        if ours:
            rows.append([field.strip() for field in fields])
    return titles, rows
