"""The engine: its parts put together on one data root, started, recovered and ended."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import attrs

from wherry.errors import WherryError
from wherry.linux import cgroups
from wherry.linux.files import clear_directory, remove_tree
from wherry.linux.mounts import bind, make_shared, unbind
from wherry.linux.steps import step
from wherry.model.commits import CommitSpec
from wherry.model.containers import Container
from wherry.model.findings import Finding
from wherry.model.names import new_id
from wherry.model.system import EngineInfo, VersionInfo
from wherry.model.usage import DiskUsage
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.broadcasts import Broadcasts
from wherry_engine.engine.check import Check
from wherry_engine.engine.check_objects import Objects
from wherry_engine.engine.check_places import Places as HostPlaces
from wherry_engine.engine.check_records import Records
from wherry_engine.engine.container_archive import Archives
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_commit import Committer
from wherry_engine.engine.container_create import Creator
from wherry_engine.engine.container_ends import Ends
from wherry_engine.engine.container_files import Folders
from wherry_engine.engine.container_launch import Launcher, Parts
from wherry_engine.engine.container_pause import Pauser
from wherry_engine.engine.container_run import Runner
from wherry_engine.engine.container_stop import Stopper
from wherry_engine.engine.container_streams import Streams
from wherry_engine.engine.container_update import Updater
from wherry_engine.engine.container_verbs import Verbs
from wherry_engine.engine.container_view import Views
from wherry_engine.engine.containers import Containers
from wherry_engine.engine.defaults import Defaults
from wherry_engine.engine.disk_usage import disk_usage
from wherry_engine.engine.drivers import Drivers, Places
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.events import Events
from wherry_engine.engine.execs import Execs
from wherry_engine.engine.image_book import ImageBook
from wherry_engine.engine.image_platform import Platform
from wherry_engine.engine.images import Images, make_images
from wherry_engine.engine.info import architecture, engine_info, version_info
from wherry_engine.engine.layer_names import snapshot_name
from wherry_engine.engine.layers import Layers
from wherry_engine.engine.memberships import Memberships
from wherry_engine.engine.network_care import NetworkCare
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.processes import Processes, ProcessExit
from wherry_engine.engine.resolv_conf import ResolvConf
from wherry_engine.engine.restarts import Restarts
from wherry_engine.engine.runtimes import Runtimes
from wherry_engine.engine.sandboxes import Sandboxes
from wherry_engine.engine.volumes import Volumes
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.load import Driver
from wherry_engine.loader.observe import Observers, load_observers
from wherry_engine.loader.report import FAILED, PluginRow, rows
from wherry_engine.state.codec import decode, encode
from wherry_engine.state.database import Change, Database
from wherry_engine.work import Pool

FOLDERS = ("containers", "mounts", "volume-mounts", "images/blobs/sha256", "images/layers", "images/tmp")

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # another one after each start of the host, see random(4)

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Settings:
    """How this engine is to run."""

    data_root: Path
    exec_root: Path
    storage_driver: str = "overlay2"
    defaults: Defaults = Defaults()  # of containers
    labels: Sequence[str] = ()  # of this engine, shown in its info
    default_runtime: str = ""  # "" chooses
    bip: str = ""  # the predefined bridge's gateway address with its subnet, as 172.17.0.1/16
    dns: ResolvConf = ResolvConf()  # for containers that do not say otherwise, in place of the host's
    driver_configs: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # by "family/name"
    preferred: Mapping[str, str] = attrs.field(factory=dict)  # distribution, by "family/name"
    environment: Mapping[str, str] = attrs.field(factory=dict)  # of the supervisor
    trusted: Sequence[str] = ()  # distributions whose observers may run in the engine
    debug: bool = False
    live_restore: bool = True  # containers run on when the engine ends
    shutdown_timeout: int = 15  # s that they get to end, where they do not


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
        self._folders = Folders(settings.data_root, settings.exec_root)
        self.events, self.broadcasts = Events(), Broadcasts()

    async def start(self) -> None:
        """Take the data root over, recover what an earlier engine left, and be ready."""
        settings = self._settings
        self._make_roots()
        self._database = Database(settings.data_root / "wherry.db")
        await self._notice_reboot()
        self._journal = Journal(self._database)
        self.instance = await self._instance()
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
        self._compose(self._storage)
        await self._recover()

    async def _load_observers(self) -> Observers:
        """The trusted ones. Their import runs foreign code, so it gets a thread and a deadline."""
        pool, trusted = Pool("observers", 1), self._settings.trusted
        try:
            return await pool.run("engine.observers.load", lambda: load_observers(trusted, log.error))
        finally:
            pool.close()

    def _make_roots(self) -> None:
        """Folders, and the data root as a mount of its own that is shared: mounts in it reach every namespace of ours."""
        data = self._settings.data_root
        with step("engine.roots"):
            for folder in (data, *(data / name for name in FOLDERS), *self._exec_folders()):
                folder.mkdir(parents=True, exist_ok=True, mode=0o711)
            clear_directory(data / "images/tmp")  # no load has begun, and a loss of power may bring back a file
            bind(str(data), str(data))
            make_shared(str(data))

    def _exec_folders(self) -> tuple[Path, ...]:
        root = self._settings.exec_root
        return (root, root / "bundles", root / "netns")

    async def _notice_reboot(self) -> None:
        """What lies in the exec root was of another life of the host, if that was restarted since: begin it anew."""
        boot = BOOT_ID.read_text().strip()
        last = [decode(value, str) for _, value in self._database.load("boot")]
        if last == [boot]:
            return
        if last:
            log.warning("the host was restarted: what ran has ended, and restart policies apply")
            with step("engine.reboot"):
                remove_tree(self._settings.exec_root)
                for folder in self._exec_folders():
                    folder.mkdir(parents=True, mode=0o711)
        await self._database.commit(Change("boot", "id", encode(boot)))

    async def _instance(self) -> str:
        """The id of this engine, the same for as long as its data root lives."""
        for _, value in self._database.load("instance"):
            return decode(value, str)
        instance = new_id()[:8]
        await self._database.commit(Change("instance", "id", encode(instance)))
        return instance

    def _compose(self, storage: Driver[StorageDriver]) -> None:
        settings, folders = self._settings, self._folders
        actors, book = Actors(), Book(self._database, self.events)
        database, journal, drivers, events = self._database, self._journal, self.drivers, self.events
        self._runtimes = Runtimes(self.drivers, settings.default_runtime)
        layers = Layers(
            database=database, journal=journal, drivers=drivers, storage=storage, processes=self._processes,
            actors=actors, mounts=settings.data_root / "mounts", records=settings.data_root / "images" / "layers",
        )  # fmt: skip
        self.images = make_images(
            book=ImageBook(database, events, book.image_users), journal=journal, layers=layers, drivers=drivers,
            storage=storage, processes=self._processes, data_root=settings.data_root,
            platform=Platform("linux", architecture()),
        )  # fmt: skip
        self.networks = Networks(
            database=database, journal=journal, drivers=drivers, events=events, actors=actors,
            book=book,
        )  # fmt: skip
        self.volumes = Volumes(
            database=database, journal=journal, drivers=drivers, events=events, actors=actors,
            processes=self._processes, mounts=settings.data_root / "volume-mounts", users=book.volume_users,
        )  # fmt: skip
        self._endpoints = Endpoints(
            self.networks, self.drivers, Sandboxes(settings.exec_root), self.broadcasts, settings.dns
        )
        parts = Parts(
            folders=folders,
            drivers=self.drivers,
            storage=storage,
            runtimes=self._runtimes,
            endpoints=self._endpoints,
            volumes=self.volumes,
            processes=self._processes,
            cgroup_parent=self.cgroup_parent,
            cgroup_version=cgroups.version(),
            find=book.get,
            parent=self._parent,
            image_size=self._image_size,
        )
        launcher = Launcher(parts)
        streams = Streams(book, self._processes, folders)
        restarts = self._restarts = Restarts()
        creator = self._creator = Creator(
            book=book, journal=journal, parts=parts, launcher=launcher, images=self.images,
            networks=self.networks, defaults=settings.defaults,
        )  # fmt: skip
        runner = Runner(
            book=book, journal=journal, actors=actors, parts=parts, launcher=launcher, creator=creator,
            streams=streams, networks=self.networks, restarts=restarts,
        )  # fmt: skip
        self._ends = Ends(
            book=book, journal=journal, actors=actors, parts=parts, launcher=launcher, creator=creator, runner=runner,
            restarts=restarts,
        )  # fmt: skip
        pauser = Pauser(book=book, journal=journal, actors=actors, cgroup_parent=self.cgroup_parent)
        self._stopper = Stopper(
            book=book, actors=actors, processes=self._processes, creator=creator, runner=runner, streams=streams,
            pauser=pauser, restarts=restarts,
        )  # fmt: skip
        updater = Updater(
            book=book, journal=journal, actors=actors, cgroup_parent=self.cgroup_parent,
            cgroup_version=parts.cgroup_version,
        )  # fmt: skip
        verbs = Verbs(
            book=book, actors=actors, events=events, processes=self._processes, launcher=launcher,
            endpoints=self._endpoints, stopper=self._stopper, cgroup_parent=self.cgroup_parent,
        )  # fmt: skip
        self.containers = Containers(
            book=book, creator=creator, runner=runner, stopper=self._stopper, pauser=pauser, updater=updater,
            verbs=verbs, streams=streams, launcher=launcher, folders=folders,
        )  # fmt: skip
        self.memberships = Memberships(
            book=book, journal=journal, actors=actors, networks=self.networks, endpoints=self._endpoints,
            processes=self._processes, folders=folders,
        )  # fmt: skip
        self._care = NetworkCare(
            drivers=drivers, networks=self.networks, endpoints=self._endpoints, book=book, actors=actors
        )
        self.execs = Execs(book, self._runtimes, folders, self._processes.execs)
        self._records = Records(
            self.containers, self.images, self.volumes, journal, self._endpoints,
            volume_mounts=settings.data_root / "volume-mounts",
        )  # fmt: skip
        pool = Pool("check", 2)
        objects = Objects(
            drivers=drivers, storage=storage, networks=self.networks, processes=self._processes,
            runtimes=self._runtimes, journal=journal, records=self._records, on_exit=self._on_exit,
        )  # fmt: skip
        self._check = Check(self._records, HostPlaces(folders, self.cgroup_parent, pool), objects, actors, pool)
        views = Views(book=book, journal=journal, actors=actors, parts=parts, launcher=launcher)
        self.archives = Archives(book=book, parts=parts, views=views)
        self._committer = Committer(book=book, archives=self.archives, images=self.images)

    @property
    def exec_root(self) -> Path:
        """Where what dies with the host lies."""
        return self._settings.exec_root

    @property
    def cgroup_parent(self) -> str:
        """The control group that holds those of our containers."""
        return f"/wherry-{self.instance}"

    def _parent(self, container: Container) -> str | None:
        image = self.images.table.get(container.image_id)
        return snapshot_name(image.chain_ids[-1]) if image and image.chain_ids else None

    def _image_size(self, container: Container) -> int:
        image = self.images.table.get(container.image_id)
        return image.size if image else 0

    def _on_exit(self, exit: ProcessExit) -> None:
        self._ends.on_exit(exit)

    async def _recover(self) -> None:
        """What was unfinished is undone or finished; what runs goes on; rules and links are as recorded."""
        for process in await self.broadcasts.processes():
            await self._processes.service(process)
        recovered = await self._journal.recover()
        await self.networks.start(self._settings.bip, await self._records.endpoint_states())
        await self.broadcasts.sandboxes(self._endpoints.sandboxes_of(self.containers.list()))
        await self._ends.adopt()
        self.execs.adopt()
        await self._care.start()
        await self._runtimes.default()
        if recovered:
            log.warning("%d unfinished operations of an earlier run were undone or finished", recovered)

    def answers(self) -> None:
        """Whoever serves the engine's clients does so by now: the containers that policies start may begin."""
        self._restarts.open()

    async def stop(self) -> None:
        """Let go of everything. Containers run on; if none runs, nothing of ours stays on the host but the data root.

        What could not be undone before is tried once more; if it still cannot be, all stays for the next start to do it.
        """
        await self._restarts.close()
        if not self._settings.live_restore:
            await self._stopper.stop_all(self._settings.shutdown_timeout)
        await self._ends.settled()
        self.execs.close()
        await self._care.stop()
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
            cgroups.remove_group(self.cgroup_parent)
            unbind(str(self._settings.data_root))
            remove_tree(self._settings.exec_root)

    # --- what the API asks of the engine itself ---

    def reconfigure(
        self, *, defaults: Defaults, labels: Sequence[str], live_restore: bool, shutdown_timeout: int
    ) -> None:
        """From now on these hold; containers that exist stay as they are."""
        self._settings = attrs.evolve(
            self._settings,
            defaults=defaults,
            labels=labels,
            live_restore=live_restore,
            shutdown_timeout=shutdown_timeout,
        )
        self._creator.defaults = defaults
        self.events.emit("daemon", "reload", self.instance, {"name": socket.gethostname()})

    async def info(self) -> EngineInfo:
        """The engine and its host, now."""
        settings = self._settings
        return engine_info(
            instance=self.instance,
            root=settings.data_root,
            storage_driver=settings.storage_driver,
            storage_status=await self._storage_status(),
            log_driver=settings.defaults.log_driver,
            labels=tuple(settings.labels),
            default_runtime=await self._runtimes.default(),
            containers=self.containers,
            images=self.images,
            runtimes=self._runtimes,
            faults=(
                *(state.reason for state in self.drivers.states().values() if state.state == FAILED),
                *self._care.warnings,
            ),
            debug=settings.debug,
            live_restore=settings.live_restore,
        )

    async def plugins(self) -> Sequence[PluginRow]:
        """Every installed driver and observer, with what became of it here."""
        states = {**self.drivers.states(), **self._observers.states}
        return await asyncio.to_thread(rows, states, self._settings.preferred)

    async def check(self) -> Sequence[Finding]:
        """What records and host disagree on."""
        return await self._check.examine()

    async def repair(self) -> Sequence[Finding]:
        """Mend of that what loses nothing of a user's; returns what was found, with what became of it."""
        return await self._check.repair()

    async def _storage_status(self) -> tuple[tuple[str, str], ...]:
        if not self._storage.has("status"):
            return ()
        return tuple(await self.drivers.call("storage.status", self._storage, lambda hook: hook.status()))

    async def commit(self, ref: str, spec: CommitSpec) -> str:
        """Make an image of what a container changed; returns its id."""
        return await self._committer.commit(ref, spec)

    async def disk_usage(self, kinds: Collection[str]) -> DiskUsage:
        """What the objects of these kinds (`image`, `container`, `volume`) take on the disk."""
        return await disk_usage(kinds, self.images, self.containers, self.volumes)

    def version(self) -> VersionInfo:
        """Which engine this is."""
        return version_info(self._runtimes)

    async def ping_hint(self) -> None:
        """A client has come and will want a container: wake what is slow to wake."""
        try:
            with step("engine.warm"):
                await self._processes.warm_up()
        except WherryError as error:
            log.debug("warm-up failed: %s", error)
