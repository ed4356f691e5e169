"""Making what a container runs on, and taking it away again: root file system, mounts, network, bundle, process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import orjson

from wherry.errors import Conflict, Unsupported, WherryError
from wherry.linux.cgroups import thaw
from wherry.linux.files import remove_tree
from wherry.linux.steps import step
from wherry.linux.users import User, resolve_user
from wherry.model.containers import Container, MountPoint
from wherry.model.logs import LocalLog
from wherry.model.mounts import Mount
from wherry.model.networks import EndpointRecord, PortMapping
from wherry.model.runtimes import Runtime
from wherry.spec.log import LogDriver
from wherry.spec.storage import StorageDriver
from wherry_engine.engine import links
from wherry_engine.engine.bundle import BundleInput, BundleMount, oci_config
from wherry_engine.engine.bundle_mounts import SHM_SIZE, tmpfs_mounts
from wherry_engine.engine.container_files import Folders, Surroundings, mark, own_mounts, shared_with, write_files
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.init_program import find_init, wants_init
from wherry_engine.engine.joins import SHAREABLE, Joined, joined
from wherry_engine.engine.log_targets import log_target
from wherry_engine.engine.processes import Launch, Processes
from wherry_engine.engine.rootfs import mount_all, unmount_all
from wherry_engine.engine.runtimes import Runtimes
from wherry_engine.engine.start_errors import start_error
from wherry_engine.engine.tmpfs_modes import hidden_modes
from wherry_engine.engine.together import together
from wherry_engine.engine.volumes import Volumes
from wherry_engine.loader.load import Driver
from wherry_engine.state.codec import from_data
from wherry_engine.work import Pool

T = TypeVar("T")

BIND_DEADLINE = 15.0


@attrs.frozen
class Launched:
    """A container whose process has been made and waits to be started."""

    pid: int
    ports: tuple[PortMapping, ...]


@attrs.frozen(kw_only=True)
class Parts:
    """What a launch needs of the engine."""

    folders: Folders
    drivers: Drivers
    storage: Driver[StorageDriver]
    runtimes: Runtimes
    endpoints: Endpoints
    volumes: Volumes
    processes: Processes
    groups: Groups
    cgroup_version: int
    init_path: str  # the program of --init; "" finds one
    seccomp: str  # the profile of containers that name none; "" is the built-in one
    find: Callable[[str], Container]  # by id or name; raises NotFound
    parent: Callable[[Container], str | None]  # the snapshot that a container's is made from
    image_size: Callable[[Container], int]  # bytes of its image


@attrs.frozen
class Seen:
    """A container with what comes from others: names and variables. `around` None: its files are another's."""

    container: Container
    around: Surroundings | None


class Launcher:
    """Launches and tears down containers. Both may be repeated, and a teardown follows any part of a launch."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pool = Pool("containers", 8)

    async def launch(self, operation: str, container: Container, planned: Mapping[str, EndpointRecord]) -> Launched:
        """Everything before the commit; the container's process exists and has not begun."""
        parts = self._parts
        seen = self._seen(container, planned)
        shared = joined(container, parts.find, parts.folders.shm)
        rootfs, ports, mounts = await together(
            self._rootfs(container), self._network(container, planned), self._mounts(container)
        )
        if container.host.ipc_mode == SHAREABLE:
            await self._pool.run("container.start.shm", lambda: self._mount_shm(container))
        driver, runtime = await parts.runtimes.get(container.runtime)
        config = await self._pool.run(
            "container.start.render", lambda: self._render(seen, shared, planned, rootfs, mounts)
        )
        if driver.has("adapt"):
            config = await parts.drivers.call("container.start.adapt", driver, lambda hook: hook.adapt(config=config))
        if container.host.resources.cgroup_parent:
            await self._pool.run("container.start.group", lambda: parts.groups.enter(container))
        launch = await self._launch(operation, container, runtime)
        await self._pool.run("container.start.bundle", lambda: self._write_bundle(launch, config))
        try:
            pid = await parts.processes.create(launch)
        except WherryError as error:
            raise start_error(container, error) from error
        return Launched(pid, ports)

    async def _rootfs(self, container: Container) -> Path:
        target = self._parts.folders.rootfs(container.id)
        await self._prepared(container, lambda mounts: _mount_rootfs(mounts, target))
        return target

    def _mount_shm(self, container: Container) -> None:
        options = ("nosuid", "noexec", "nodev", "mode=1777", f"size={container.host.shm_size or SHM_SIZE}")
        mount_all([Mount(type="tmpfs", source="shm", options=options)], self._parts.folders.shm(container.id))

    async def prepare(self, container: Container) -> list[Mount]:
        """How to mount the container's root file system."""
        return await self._prepared(container, list)

    async def _prepared(self, container: Container, use: Callable[[Sequence[Mount]], T]) -> T:
        """What is made, in the same thread, of the mounts of the container's root file system."""
        parts = self._parts

        def prepare(hook: StorageDriver) -> T:
            return use(hook.prepare(key=container.id, parent=parts.parent(container), writable=True, quota=None))

        return await parts.drivers.call("container.start.prepare", parts.storage, prepare)

    async def _network(self, container: Container, planned: Mapping[str, EndpointRecord]) -> tuple[PortMapping, ...]:
        endpoints = self._parts.endpoints
        await endpoints.attach(container, planned)
        return await endpoints.publish(container, planned, self._parts.processes)

    async def _mounts(self, container: Container) -> list[BundleMount]:
        made = []
        for point in container.mounts:
            source, binding = await self._source(container, point)
            if source:
                options = (binding, point.propagation or "rprivate", "rw" if point.writable else "ro")
                made.append(BundleMount(source=source, destination=point.destination, options=options))
        return made

    async def _source(self, container: Container, point: MountPoint) -> tuple[str, str]:
        """What a mount point shows, and how it is bound: crun fails to make what is below a file read-only."""
        if point.type == "volume":
            path = await self._parts.volumes.attach(point.name, container.id)
            return (f"{path}/{point.subpath}" if point.subpath else path), "rbind"
        if point.type == "bind":
            create = bool(container.host.binds)
            arguments = {"path": point.source, "create": create, "propagation": point.propagation}
            found = await self._parts.processes.job("ensure_bind", arguments, deadline=BIND_DEADLINE)
            return point.source, "rbind" if from_data(found, dict[str, str])["kind"] == "dir" else "bind"
        return "", ""

    def _seen(self, container: Container, planned: Mapping[str, EndpointRecord]) -> Seen:
        """What the container will see of others. Raises `Conflict` if one that it needs does not run."""
        parts = self._parts
        if shared_with(container):
            target = parts.find(shared_with(container))
            if not target.state.alive:
                raise Conflict(f"cannot join network of a non running container: {target.id}")
            config = attrs.evolve(
                container.config, hostname=target.config.hostname, domainname=target.config.domainname
            )
            return Seen(attrs.evolve(container, config=config), None)
        others = links.linked(container, parts.find)
        told = [entry for each in others for entry in links.variables(container, each)]
        config = attrs.evolve(container.config, env=(*told, *container.config.env))
        around = Surroundings(
            parts.endpoints.resolv_conf(container, planned),
            parts.endpoints.host_gateway(),
            tuple(map(links.host_line, others)),
        )
        return Seen(attrs.evolve(container, config=config), around)

    def _render(
        self, seen: Seen, shared: Joined, planned: Mapping[str, EndpointRecord], rootfs: Path, mounts: list[BundleMount]
    ) -> Mapping[str, Any]:
        parts, container = self._parts, seen.container
        if seen.around is not None:
            write_files(parts.folders, container, planned, seen.around)
        mark(rootfs)
        taken = [point.destination for point in container.mounts]
        given = BundleInput(
            container=container,
            rootfs=rootfs,
            user=self._user(container, rootfs),
            netns=parts.endpoints.netns(container),
            mounts=(*own_mounts(parts.folders.files(container), taken), *mounts),
            cgroups_path=parts.groups.of(container),
            hostname=container.config.hostname,
            cgroup_version=parts.cgroup_version,
            joined=shared,
            init=find_init(parts.init_path) if wants_init(container.host) else "",
            seccomp=parts.seccomp,
            modes=hidden_modes(rootfs, [mount.destination for mount in tmpfs_mounts(container.host, {})]),
        )
        return oci_config(given)

    @staticmethod
    def _user(container: Container, rootfs: Path) -> User:
        return resolve_user(rootfs, container.config.user, container.host.group_add or ())

    @staticmethod
    def _write_bundle(launch: Launch, config: Mapping[str, Any]) -> None:
        launch.bundle.mkdir(mode=0o711, exist_ok=True)
        (launch.bundle / "config.json").write_bytes(orjson.dumps(config))
        launch.log_path.parent.mkdir(mode=0o700, exist_ok=True)

    async def _launch(self, operation: str, container: Container, runtime: Runtime) -> Launch:
        log = await self.log_target(container)
        return Launch(
            operation=operation,
            id=container.id,
            bundle=self._parts.folders.bundle(container.id),
            runtime=runtime,
            tty=container.config.tty,
            stdin=container.config.open_stdin,
            stdin_once=container.config.stdin_once,
            log=log,
            log_path=self._parts.folders.log(container.id, log.format),
            console_size=container.host.console_size,
        )

    def netns(self, container: Container) -> str:
        """Where the container's network namespace is mounted, "" for the host's."""
        return str(self._parts.endpoints.netns(container) or "")

    async def log_target(self, container: Container) -> LocalLog:
        """What the container's log driver wants written. Raises `Invalid` for options that it refuses."""
        return await log_target(self._parts.drivers, container)

    async def size(self, container: Container) -> tuple[int, int]:
        """(bytes that the container wrote, bytes of its whole root file system)."""
        parts = self._parts
        if not parts.storage.has("usage"):
            raise Unsupported(f"the storage driver {parts.storage.name} does not tell sizes")
        usage = await parts.drivers.call("container.size", parts.storage, lambda hook: hook.usage(key=container.id))
        return usage.bytes, usage.bytes + parts.image_size(container)

    # --- the way back ---

    async def teardown(self, container: Container, records: Mapping[str, EndpointRecord]) -> None:
        """Take away everything that a launch made, whatever part of it there is."""
        parts = self._parts
        runtime = await parts.runtimes.remover(container.runtime)
        if container.state.status == "paused":  # frozen processes do not end
            await self._pool.run("container.end.thaw", lambda: thaw(parts.groups.of(container)))
        await parts.processes.delete(container.id, runtime)
        if container.host.resources.cgroup_parent:
            await self._pool.run("container.end.group", lambda: parts.groups.leave(container))
        await together(
            parts.endpoints.detach(container, records, parts.processes),
            self._unmount(container),
            self._end_log(container),
        )

    async def _unmount(self, container: Container) -> None:
        await self._pool.run("container.end.bundle", lambda: self._remove_bundle(container))
        for point in container.mounts:
            if point.type == "volume":
                await self._parts.volumes.detach(point.name, container.id)

    def _remove_bundle(self, container: Container) -> None:
        folders = self._parts.folders
        with step("container.end.rootfs"):
            unmount_all(folders.rootfs(container.id))
        if container.host.ipc_mode == SHAREABLE:
            with step("container.end.shm"):
                unmount_all(folders.shm(container.id))
        remove_tree(folders.bundle(container.id))

    async def _end_log(self, container: Container) -> None:
        driver = await self._parts.drivers.get(LogDriver, container.log_driver)
        await self._parts.drivers.call("container.end.log", driver, lambda hook: hook.stop(container_id=container.id))


def _mount_rootfs(mounts: Sequence[Mount], target: Path) -> None:
    with step("container.start.rootfs"):
        mount_all(mounts, target)
