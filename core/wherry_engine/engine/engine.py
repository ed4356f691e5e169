"""The engine: its parts put together on one data root, started, recovered and ended."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Collection, Sequence
from pathlib import Path

from wherry.errors import WherryError
from wherry.linux.files import remove_tree
from wherry.linux.mounts import unbind
from wherry.linux.steps import step
from wherry.model.commits import CommitSpec
from wherry.model.findings import Finding
from wherry.model.system import EngineInfo, VersionInfo
from wherry.model.usage import DiskUsage
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.broadcasts import Broadcasts
from wherry_engine.engine.composition import Ground, compose
from wherry_engine.engine.container_archive import Archives
from wherry_engine.engine.containers import Containers
from wherry_engine.engine.disk_usage import disk_usage
from wherry_engine.engine.drivers import Drivers, Places
from wherry_engine.engine.events import Events
from wherry_engine.engine.execs import Execs
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.home import group_above, instance_id, make_roots, notice_reboot
from wherry_engine.engine.images import Images
from wherry_engine.engine.info import engine_info, version_info
from wherry_engine.engine.log_targets import check_default_options
from wherry_engine.engine.memberships import Memberships
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.processes import Processes, ProcessExit
from wherry_engine.engine.seccomp_files import profile
from wherry_engine.engine.settings import Settings
from wherry_engine.engine.volumes import Volumes
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.observe import Observers, load_observers
from wherry_engine.loader.report import FAILED, PluginRow, rows
from wherry_engine.state.database import Database
from wherry_engine.work import Pool

log = logging.getLogger(__name__)


class Engine:
    """A container engine. `start` must have returned before anything else is used."""

    events: Events
    archives: Archives
    containers: Containers
    execs: Execs
    images: Images
    networks: Networks
    memberships: Memberships
    volumes: Volumes
    drivers: Drivers
    instance: str

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.events, self.broadcasts = Events(), Broadcasts()

    async def start(self) -> None:
        """Take the data root over, recover what an earlier engine left, and be ready."""
        settings = self._settings
        make_roots(settings.data_root, settings.exec_root)
        self._database = Database(settings.data_root / "wherry.db")
        await notice_reboot(self._database, settings.exec_root)
        self._journal = Journal(self._database)
        self.instance = await instance_id(self._database)
        above = group_above(settings.exec_root, settings.cgroup_parent)
        self._groups = Groups(above, f"wherry-{self.instance}", settings.exec_root / "groups-made")
        with step("engine.groups"):
            self._groups.begin()
        self._observers = await self._load_observers()
        self.drivers = Drivers(
            Places(
                data_root=settings.data_root,
                exec_root=settings.exec_root,
                instance=self.instance,
                configs=settings.driver_configs,
                preferred=settings.preferred,
                observer=self._observers.observe,
            )
        )
        self._storage = await self.drivers.get(StorageDriver, settings.storage_driver)
        self._processes = await Processes.connect(
            settings.exec_root, on_exit=self._on_exit, environment=settings.environment
        )
        self._compose()
        await self._recover()

    async def _load_observers(self) -> Observers:
        """The trusted ones. Their import runs foreign code, so it gets a thread and a deadline."""
        pool, trusted = Pool("observers", 1), self._settings.trusted
        try:
            return await pool.run("engine.observers.load", lambda: load_observers(trusted, log.error))
        finally:
            pool.close()

    def _compose(self) -> None:
        parts = self._parts = compose(
            Ground(
                settings=self._settings,
                instance=self.instance,
                groups=self._groups,
                database=self._database,
                journal=self._journal,
                drivers=self.drivers,
                storage=self._storage,
                seccomp=profile(self._settings.seccomp_profile),
                processes=self._processes,
                events=self.events,
                broadcasts=self.broadcasts,
                on_exit=self._on_exit,
            )
        )
        self.archives, self.containers, self.execs, self.images = (
            parts.archives, parts.containers, parts.execs, parts.images
        )  # fmt: skip
        self.memberships, self.networks, self.volumes = parts.memberships, parts.networks, parts.volumes

    @property
    def exec_root(self) -> Path:
        """Where what dies with the host lies."""
        return self._settings.exec_root

    @property
    def cgroup_parent(self) -> str:
        """The control group that holds those of our containers that ask for no other."""
        return self._groups.engine

    def _on_exit(self, exit: ProcessExit) -> None:
        self._parts.ends.on_exit(exit)

    async def _recover(self) -> None:
        """What was unfinished is undone or finished; what runs goes on; rules and links are as recorded."""
        for process in await self.broadcasts.processes():
            await self._processes.service(process)
        self._parts.ends.adopt_places()
        recovered = await self._journal.recover()
        await self.networks.start(self._settings.default_bridge, await self._parts.records.endpoint_states())
        await self.broadcasts.sandboxes(self._parts.endpoints.sandboxes_of(self.containers.list()))
        await self._parts.ends.adopt()
        await self.images.release()
        self.execs.adopt()
        await self._parts.prober.adopt()
        await self._parts.care.start()
        await self._parts.runtimes.default()
        defaults = self._settings.defaults
        await check_default_options(self.drivers, defaults.log_driver, defaults.log_opts)
        if recovered:
            log.warning("%d unfinished operations of an earlier run were undone or finished", recovered)

    def answers(self) -> None:
        """Whoever serves the engine's clients does so by now: the containers that policies start may begin."""
        self._parts.restarts.open()

    async def stop(self) -> None:
        """Let go of everything. Containers run on; if none runs, nothing of ours stays on the host but the data root.

        What could not be undone before is tried once more; if it still cannot be, all stays for the next start to do it.
        """
        await self._parts.restarts.close()
        if not self._settings.live_restore:
            await self._parts.stopper.stop_all(self._settings.shutdown_timeout)
        await self._parts.ends.settled()
        await self._parts.prober.close()
        self.execs.close()
        await self._parts.care.stop()
        self.events.close()
        await self._journal.recover()
        if self._journal.unfinished() or any(container.state.alive for container in self.containers.list()):
            await self._processes.close()
            self._database.close()
            return
        await self.networks.stop()
        await self._processes.shutdown()
        self._database.close()
        await asyncio.to_thread(self._clear_host)
        self.drivers.close()
        self.broadcasts.close()

    def _clear_host(self) -> None:
        with step("engine.clear"):
            self._groups.end()
            unbind(str(self._settings.data_root))
            remove_tree(self._settings.exec_root)

    # --- what the API asks of the engine itself ---

    def reconfigure(self, settings: Settings) -> None:
        """From now on these hold, which differ in what a running engine can change; containers that exist stay as they are."""
        self._settings = settings
        self._parts.creator.defaults = settings.defaults
        self._parts.runtimes.configure(settings.runtimes, settings.default_runtime)
        self.events.emit("daemon", "reload", self.instance, {"name": socket.gethostname()})

    async def info(self) -> EngineInfo:
        """The engine and its host, now."""
        return engine_info(
            self._settings,
            instance=self.instance,
            storage_status=await self._storage_status(),
            default_runtime=await self._parts.runtimes.default(),
            containers=self.containers,
            images=self.images,
            runtimes=self._parts.runtimes,
            faults=(
                *(state.reason for state in self.drivers.states().values() if state.state == FAILED),
                *self._parts.care.warnings,
            ),
        )

    async def plugins(self) -> Sequence[PluginRow]:
        """Every installed driver and observer, with what became of it here."""
        states = {**self.drivers.states(), **self._observers.states}
        return await asyncio.to_thread(rows, states, self._settings.preferred)

    async def check(self) -> Sequence[Finding]:
        """What records and host disagree on."""
        return await self._parts.check.examine()

    async def repair(self) -> Sequence[Finding]:
        """Mend of that what loses nothing of a user's; returns what was found, with what became of it."""
        return await self._parts.check.repair()

    async def _storage_status(self) -> tuple[tuple[str, str], ...]:
        if not self._storage.has("status"):
            return ()
        return tuple(await self.drivers.call("storage.status", self._storage, lambda hook: hook.status()))

    async def commit(self, ref: str, spec: CommitSpec) -> str:
        """Make an image of what a container changed; returns its id."""
        return await self._parts.committer.commit(ref, spec)

    async def disk_usage(self, kinds: Collection[str]) -> DiskUsage:
        """What the objects of these kinds (`image`, `container`, `volume`) take on the disk."""
        return await disk_usage(kinds, self.images, self.containers, self.volumes)

    def version(self) -> VersionInfo:
        """Which engine this is."""
        return version_info(self._parts.runtimes, experimental=self._settings.experimental)

    async def ping_hint(self) -> None:
        """A client has come and will want a container: wake what is slow to wake."""
        try:
            with step("engine.warm"):
                await self._processes.warm_up()
        except WherryError as error:
            log.debug("warm-up failed: %s", error)
