"""Changing a container's limits and restart policy, live if it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Conflict, Failed, Invalid
from wherry.model.configs import Resources, RestartPolicy
from wherry.model.containers import Container
from wherry_engine.engine import limits, live_limits
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.bundle import check
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_spec import policy_faults
from wherry_engine.engine.groups import Groups
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change
from wherry_engine.work import Pool

# What may be changed. 0, "" and None leave a limit as it is.
FIELDS = (
    "blkio_weight", "cpu_shares", "nano_cpus", "cpu_period", "cpu_quota", "cpuset_cpus", "cpuset_mems", "memory",
    "memory_swap", "memory_reservation", "cpu_realtime_period", "cpu_realtime_runtime", "pids_limit",
    "oom_kill_disable",
)  # fmt: skip


class Updater:
    """Changes containers."""

    def __init__(self, *, book: Book, journal: Journal, actors: Actors, groups: Groups, cgroup_version: int) -> None:
        self._book, self._journal, self._actors = book, journal, actors
        self._groups, self._version = groups, cgroup_version
        self._pool = Pool("limits", 2)
        journal.register("container.update", self._undo)

    async def update(self, ref: str, given: Resources, policy: RestartPolicy | None) -> None:
        """Change what is given. Raises `Invalid`, `Conflict`; the container is as before, then."""
        id = self._book.get(ref).id
        async with self._actors.turn(f"container/{id}", "update"):
            container = self._book.get(id)
            changed = updated(container, given, policy)
            async with self._journal.operation("container.update", id) as operation:
                if container.state.alive:
                    await self._apply(changed)
                await operation.commit(self._book.table.put(changed))
            self._book.emit("update", changed)

    async def _apply(self, container: Container) -> None:
        resources = limits.resources(container.host.resources, self._version)
        group = self._groups.of(container)
        try:
            await self._pool.run("container.update.limits", lambda: live_limits.apply(group, resources, self._version))
        except OSError as error:
            raise Failed(f"Cannot update container {container.id}: {error.strerror or error}") from error

    async def _undo(self, id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """The limits are again those of the record."""
        container = self._book.table.get(id)
        if container is not None and container.state.alive:
            await self._apply(container)
        return ()


def updated(container: Container, given: Resources, policy: RestartPolicy | None) -> Container:
    """The container as it will be. Raises `Invalid` for limits that cannot be, `Conflict` for those that do not fit."""
    had = container.host.resources
    changes = {name: value for name in FIELDS if (value := getattr(given, name)) not in (0, "", None)}
    conflict = _conflict(had, given)
    host = attrs.evolve(container.host, resources=attrs.evolve(had, **changes))
    if policy is not None:
        if faults := policy_faults(policy):
            raise Invalid("; ".join(faults))
        if container.host.auto_remove and policy.name != "no":
            conflict = "Restart policy cannot be updated because AutoRemove is enabled for the container"
        host = attrs.evolve(host, restart_policy=policy)
    # The limits by themselves: what is wrong with them is no matter of the container's others. Swap counts with memory.
    alone = attrs.evolve(given, memory=given.memory or had.memory) if given.memory_swap else given
    if faults := check(container.config, attrs.evolve(container.host, resources=alone)):
        raise Invalid("; ".join(faults))
    if conflict:
        raise Conflict(f"Cannot update container {container.id}: {conflict}")
    return attrs.evolve(container, host=host)


def _conflict(had: Resources, given: Resources) -> str:
    if given.nano_cpus > 0 and had.cpu_period > 0:
        return "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"
    if given.nano_cpus > 0 and had.cpu_quota > 0:
        return "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"
    if given.cpu_period > 0 and had.nano_cpus > 0:
        return "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"
    if given.cpu_quota > 0 and had.nano_cpus > 0:
        return "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
    if given.memory > 0 and given.memory_swap == 0 and 0 < limits.memory_swap(had) < given.memory:
        return (
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    return ""
