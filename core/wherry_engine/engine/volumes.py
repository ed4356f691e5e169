"""Volumes: records, who uses them, and where their data shows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Conflict, Invalid, NotFound, WherryError
from wherry.model.names import check_volume_name, new_id
from wherry.model.usage import UNKNOWN
from wherry.model.volumes import ANONYMOUS, VolumeRecord, VolumeSpec
from wherry.spec.volume import VolumeDriver
from wherry.toolkit.options import describe, unknown_options
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.events import Events
from wherry_engine.engine.filters import Filters
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.rootfs import unmount_all
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.catalog import UnknownDriver
from wherry_engine.loader.load import Driver
from wherry_engine.state.codec import from_data, to_data
from wherry_engine.state.database import Change, Database
from wherry_engine.state.table import Table
from wherry_engine.work import Pool

COPY_DEADLINE = 3600.0
MOUNT_DEADLINE = 30.0
MEASURE_DEADLINE = 30.0

log = logging.getLogger(__name__)


class Volumes:
    """The engine's volumes. `users(name)` are the ids of the containers that use one."""

    def __init__(
        self, *, database: Database, journal: Journal, drivers: Drivers, events: Events, actors: Actors,
        processes: Processes, mounts: Path, users: Callable[[str], Sequence[str]],
    ) -> None:  # fmt: skip
        self._journal, self._drivers, self._events, self._actors = journal, drivers, events, actors
        self._database = database
        self._processes, self._mounts, self.users = processes, mounts, users
        self._pool = Pool("volumes", 4)
        self._mounted: dict[str, set[str]] = {}  # name: the containers for which it is mounted
        self.table: Table[VolumeRecord] = Table(database, "volume", VolumeRecord, lambda volume: volume.name)
        journal.register("volume.create", self._undo_create)
        journal.register("volume.remove", self._finish_remove)

    def list(self) -> Sequence[VolumeRecord]:
        """All volumes, by name."""
        return sorted(self.table, key=lambda volume: volume.name)

    def get(self, name: str) -> VolumeRecord:
        """The volume. Raises `NotFound`."""
        found = self.table.get(name)
        if found is None:
            raise NotFound(f"get {name}: no such volume")
        return found

    async def create(self, spec: VolumeSpec, made_for: str = "") -> VolumeRecord:
        """Make a volume, or return the one of that name if it has the same driver and options.

        With `made_for`, the container that is being created, it is made for that one until somebody else asks for it.
        """
        name = check_volume_name(spec.name) if spec.name else new_id()
        async with self._actors.turn(f"volume/{name}", "creating the volume"):
            found = self.table.get(name)
            if found is not None:
                if spec.driver and found.driver != spec.driver:
                    await self._driver(spec.driver)  # that there is none is said first
                    raise Conflict(
                        f"a volume named {name} already exists, made by the driver {found.driver}: remove it first"
                    )
                if spec.options and dict(spec.options) != dict(found.options):
                    raise Conflict(f"a volume named {name} already exists with other options: remove it first")
                return await self._asked_for(found, made_for)
            try:
                return await self._create(name, spec, made_for)
            except WherryError as error:
                raise type(error)(f"create {name}: {error.text}") from error

    async def _asked_for(self, record: VolumeRecord, made_for: str) -> VolumeRecord:
        """Whoever made it: from now on somebody counts on it, whatever becomes of that creation."""
        if record.made_for in ("", made_for):
            return record
        kept = attrs.evolve(record, made_for="")
        await self._database.commit(self.table.put(kept))
        return kept

    def settled(self, container_id: str) -> Sequence[Change]:
        """The rows that let the volumes made for a container be as any other, once it has been created."""
        mine = [each for each in self.table if each.made_for == container_id]
        return [self.table.put(attrs.evolve(each, made_for="")) for each in mine]

    async def discard(self, container_id: str) -> None:
        """Remove the volumes that were made for a container whose creation has failed, but for those that others know."""
        for name in [each.name for each in self.table if each.made_for == container_id]:
            async with self._actors.turn(f"volume/{name}", "removing the volume"):
                record = self.table.get(name)
                if record is not None and record.made_for == container_id and not self.users(name):
                    await self._remove(record)

    async def _create(self, name: str, spec: VolumeSpec, made_for: str) -> VolumeRecord:
        driver = await self._driver(spec.driver or "local")
        if unknown := unknown_options(driver.cls.OPTIONS, spec.options):
            known = ", ".join(sorted(each.key for each in describe(driver.cls.OPTIONS)))
            raise Invalid(f'invalid option: "{unknown[0]}"; known are {known or "none"}')
        options = driver.parse("OPTIONS", spec.options)
        async with self._journal.operation("volume.create", name, driver=driver.name) as operation:
            shows = await self._drivers.call(
                "volume.create", driver, lambda hook: hook.create(name=name, options=options)
            )
            record = VolumeRecord(
                name=name,
                driver=driver.name,
                created_ns=time.time_ns(),
                mountpoint=shows or str(self._mounts / name),
                options=dict(spec.options),
                labels={**spec.labels, **({} if spec.name else {ANONYMOUS: ""})},
                scope=driver.cls.SCOPE,
                made_for=made_for,
            )
            await operation.commit(self.table.put(record))
        self._events.emit("volume", "create", name, {"driver": record.driver})
        return record

    async def _driver(self, name: str) -> Driver[VolumeDriver]:
        try:
            return await self._drivers.get(VolumeDriver, name)
        except UnknownDriver as error:
            raise NotFound(f'error looking up volume plugin {name}: plugin "{name}" not found: {error.text}') from error

    async def _undo_create(self, name: str, data: Mapping[str, Any]) -> Sequence[Change]:
        if self.table.get(name) is None:
            driver = await self._driver(data["driver"])
            await self._drivers.call("volume.undo", driver, lambda hook: hook.remove(name=name))
        return ()

    async def remove(self, name: str, force: bool = False) -> None:
        """Remove a volume and its data; with `force`, one that is not there is no error. Raises `Conflict` if used."""
        async with self._actors.turn(f"volume/{name}", "removing the volume"):
            if force and self.table.get(name) is None:
                return
            record = self.get(name)
            if users := self.users(name):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            await self._remove(record)

    async def _remove(self, record: VolumeRecord) -> None:
        await self._journal.forward("volume.remove", record.name, volume=to_data(record))
        self._events.emit("volume", "destroy", record.name, {"driver": record.driver})

    async def _finish_remove(self, name: str, data: Mapping[str, Any]) -> Sequence[Change]:
        record = from_data(data["volume"], VolumeRecord)
        driver = await self._driver(record.driver)
        if self._needs_mount(record):
            await self._pool.run("volume.unmount", lambda: unmount_all(self._mounts / name))
        await self._drivers.call("volume.remove", driver, lambda hook: hook.remove(name=name))
        return (self.table.drop(name),)

    async def prune(self, filters: Filters) -> tuple[Sequence[str], int]:
        """Remove what no container refers to: with `all` everything, else anonymous volumes. Names, and bytes freed."""
        removed, freed = [], 0
        everything = filters.boolean("all")
        for record in self.list():
            if self.users(record.name) or not (everything or record.anonymous) or not filters.labels(record.labels):
                continue
            size = await self.size(record)
            try:
                await self.remove(record.name)
            except (Conflict, NotFound):  # a container came first, or another removal
                continue
            removed.append(record.name)
            freed += max(size, 0)
        self._events.emit("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    async def size(self, record: VolumeRecord) -> int:
        """Bytes of its data; UNKNOWN for what is mounted only when used, and for what takes too long to count."""
        if self._needs_mount(record):
            return UNKNOWN
        try:
            found = await self._processes.job("usage", {"path": record.mountpoint}, deadline=MEASURE_DEADLINE)
        except WherryError as error:
            log.warning("the size of volume %s is not known: %s", record.name, error)
            return UNKNOWN
        return from_data(found, dict[str, int])["bytes"]

    # --- use by containers ---

    async def attach(self, name: str, container_id: str) -> str:
        """The path where the volume's data shows, mounted if need be, until `detach` by the same container."""
        record = self.get(name)
        if not self._needs_mount(record):
            return record.mountpoint
        driver = await self._driver(record.driver)
        async with self._actors.turn(f"volume/{name}", "attaching the volume"):
            holders = self._mounted.setdefault(name, set())
            if holders:
                holders.add(container_id)
                return record.mountpoint
            options = driver.parse("OPTIONS", record.options)
            mounts = await self._drivers.call(
                "volume.attach", driver, lambda hook: hook.attach(name=name, options=options)
            )
            for mount in mounts:
                arguments = {
                    "kind": mount.type, "source": mount.source, "target": record.mountpoint,
                    "options": [*mount.options, *mount.secrets],
                }  # fmt: skip
                try:
                    await self._processes.job("mount", arguments, deadline=MOUNT_DEADLINE)
                except WherryError as error:
                    raise type(error)(f"error while mounting volume '{record.mountpoint}': {error.text}") from error
            holders.add(container_id)
        return record.mountpoint

    async def fill(self, name: str, path: str, rootfs: Path, source: str) -> None:
        """Copy what the tree at `rootfs` has at `source` into the volume, attached at `path`, unless something is in it.

        In the volume's turn: of two containers that begin with it at once, the second finds what the first has copied.
        """
        async with self._actors.turn(f"volume/{name}", "filling the volume"):
            arguments = {"rootfs": str(rootfs), "path": source, "target": path}
            await self._processes.job("copy_up", arguments, deadline=COPY_DEADLINE)

    async def detach(self, name: str, container_id: str) -> None:
        """The container no longer needs it; after the last one it is unmounted."""
        record = self.table.get(name)
        if record is None or not self._needs_mount(record):
            return
        driver = await self._driver(record.driver)
        async with self._actors.turn(f"volume/{name}", "detaching the volume"):
            holders = self._mounted.setdefault(name, set())
            holders.discard(container_id)
            if holders:
                return
            await self._pool.run("volume.unmount", lambda: unmount_all(self._mounts / name))
            if driver.has("detach"):
                await self._drivers.call("volume.detach", driver, lambda hook: hook.detach(name=name))

    def _needs_mount(self, record: VolumeRecord) -> bool:
        return record.mountpoint == str(self._mounts / record.name)

    def adopt(self, name: str, container_id: str) -> None:
        """At the engine's start: a running container has it mounted."""
        self._mounted.setdefault(name, set()).add(container_id)
