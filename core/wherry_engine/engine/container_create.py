"""Creating and removing containers: what stays on the disk between runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Conflict, Invalid, NotFound
from wherry.linux.files import remove_tree
from wherry.model.configs import Config, HostConfig, VolumeOptions
from wherry.model.containers import Container, ContainerSpec, Created, ExitResult, MountPoint
from wherry.model.images import Image
from wherry.model.mounts import Mount
from wherry.model.names import container_name, new_id
from wherry.model.networks import EndpointRecord, EndpointSpec
from wherry.model.volumes import ANONYMOUS, VolumeSpec
from wherry.spec.storage import StorageDriver
from wherry_engine.engine import joins, links
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_launch import Launcher, Parts
from wherry_engine.engine.container_mounts import mount_points
from wherry_engine.engine.container_spec import command, random_name, settle
from wherry_engine.engine.defaults import Defaults
from wherry_engine.engine.endpoint_checks import check_endpoint
from wherry_engine.engine.image_platform import Platform, best
from wherry_engine.engine.images import Images
from wherry_engine.engine.init_program import find_init, wants_init
from wherry_engine.engine.limit_support import lacking
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.rootfs import mount_all, unmount_all
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change
from wherry_engine.work import Pool


class Creator:
    """Makes containers and removes them."""

    def __init__(
        self, *, book: Book, journal: Journal, parts: Parts, launcher: Launcher, images: Images, networks: Networks,
        defaults: Defaults,
    ) -> None:  # fmt: skip
        self._book, self._journal, self._parts, self._launcher = book, journal, parts, launcher
        self._images, self._networks, self.defaults = images, networks, defaults
        self._pool = Pool("creation", 4)
        journal.register("container.create", self._undo_create)
        journal.register("container.remove", self._finish_remove)

    async def create(self, spec: ContainerSpec) -> Created:
        """Make a container. Raises `NotFound` for an image that is not here, `Conflict` for a name in use, `Invalid`."""
        if not spec.config.image:
            raise Invalid("no image given: Config.Image names the image of the container")
        image = self._images.get(spec.config.image).image
        wanted = Platform.from_text(spec.platform)
        if wanted is not None and not Platform.of(image).matches(wanted):
            raise NotFound(
                f"image with reference {spec.config.image} was found but its platform ({Platform.of(image)}) does not match "
                f"the specified platform ({spec.platform})"
            )
        id = new_id()
        name = container_name(spec.name) if spec.name else random_name(self._book.names())
        with self._book.creation(id, name, image.id) as creation:
            container, warnings = await self._settle(spec, image, id, name)
            creation.volumes = frozenset(point.name for point in container.mounts if point.type == "volume")
            container = await self._make(container)
        self._book.emit("create", container)
        return Created(id=id, warnings=tuple(warnings))

    async def _settle(self, spec: ContainerSpec, image: Image, id: str, name: str) -> tuple[Container, list[str]]:
        config, host = settle(spec, image.config, id, self.defaults, self._parts.cgroup_version)
        host = joins.settle_modes(host, self._find)
        points = mount_points(config, host, self._find)
        path, args = command(config)
        container = Container(
            id=id,
            name=name,
            created_ns=time.time_ns(),
            config=config,
            host=host,
            image_id=image.id,
            storage_driver=self._parts.storage.name,
            log_driver=host.log_config.type,
            runtime=await self._parts.runtimes.choose(host.runtime, points),
            path=path,
            args=args,
            mounts=tuple(await self._with_volumes(points)),
            networks=self._wished(spec, config, host),
        )
        links.check(container, self._book.get)
        self._parts.groups.check(container, {other.id for other in self._book.table})
        await self._launcher.log_target(container)
        if wants_init(host):
            find_init(self._parts.init_path)
        await self._check_sources(container)
        return container, warnings(image, spec, host, self._parts.cgroup_version)

    def _find(self, ref: str) -> Container:
        """Another container. One that is not there is `Invalid`: clients that are told "not found" pull the image."""
        try:
            return self._book.get(ref)
        except NotFound as error:
            raise Invalid(error.text) from error

    async def _with_volumes(self, points: Sequence[MountPoint]) -> list[MountPoint]:
        """Anonymous volumes get their names now, so that the intent can name them."""
        return [attrs.evolve(p, name=new_id()) if p.type == "volume" and not p.name else p for p in points]

    def _wished(self, spec: ContainerSpec, config: Config, host: HostConfig) -> dict[str, EndpointRecord]:
        mode = host.network_mode
        if joins.is_joined(mode):
            return {}
        endpoints = {mode if name == "default" else name: endpoint for name, endpoint in spec.endpoints.items()}
        names = {mode: endpoints.get(mode, EndpointSpec()), **endpoints}
        if config.network_disabled:
            return {}
        wished = {}
        for name, endpoint in names.items():
            try:
                network = self._networks.get(name)
            except NotFound:
                wished[name] = EndpointRecord(network_id="", spec=endpoint)  # the start tells
                continue
            try:
                check_endpoint(network, endpoint, own_aliases=(config.hostname,))
            except Invalid as error:
                raise Invalid(f"invalid config for network {network.name}: {error.text}") from error
            wished[network.name] = EndpointRecord(network_id=network.id, spec=endpoint)
        return wished

    async def _check_sources(self, container: Container) -> None:
        """A bind of `--mount` must exist; one of `-v` is made at start if it does not."""
        for request in container.host.mounts or ():
            if request.type == "bind":
                create = bool(request.bind_options and request.bind_options.create_mountpoint)
                try:
                    await self._parts.processes.job(
                        "ensure_bind", {"path": request.source, "create": create}, deadline=15
                    )
                except NotFound as error:
                    raise Invalid(f'invalid mount config for type "bind": {error.text}') from error

    async def _make(self, container: Container) -> Container:
        parts = self._parts
        named = [p.name for p in container.mounts if p.type == "volume"]
        async with self._journal.operation("container.create", container.id, attached=named) as operation:
            mounts, lies = await parts.drivers.call(
                "container.create.prepare", parts.storage, lambda hook: self._prepare(hook, container)
            )
            container = attrs.evolve(container, parts=lies)
            folder = parts.folders.container(container.id)
            await self._pool.run("container.create.folder", lambda: folder.mkdir(mode=0o710))
            container = await self._make_volumes(container, list(mounts))
            await operation.commit(self._book.table.put(container), *parts.volumes.settled(container.id))
        return container

    def _prepare(self, hook: StorageDriver, container: Container) -> tuple[Sequence[Mount], Mapping[str, str]]:
        mounts = hook.prepare(key=container.id, parent=self._parts.parent(container), writable=True, quota=None)
        return mounts, hook.parts(key=container.id) if self._parts.storage.has("parts") else {}

    async def _make_volumes(self, container: Container, rootfs: list[Any]) -> Container:
        """Volumes that do not exist are made; what the image has at their place is copied into empty ones."""
        points = []
        for point in container.mounts:
            if point.type == "volume":
                asked = self._asked(container, point)
                spec = VolumeSpec(
                    name=point.name,
                    driver=point.driver,
                    labels={**asked.labels, **({ANONYMOUS: ""} if point.anonymous else {})},
                    options=asked.driver_options,
                )
                try:
                    record = await self._parts.volumes.create(spec, made_for=container.id)
                except NotFound as error:  # its driver: as `_find`
                    raise Invalid(error.text) from error
                point = attrs.evolve(point, source=record.mountpoint, driver=record.driver)
            points.append(point)
        container = attrs.evolve(container, mounts=tuple(points))
        wanted = [p for p in points if p.type == "volume" and not p.no_copy and not p.subpath]
        if wanted:
            await self._copy_up(container, wanted, rootfs)
        return container

    @staticmethod
    def _asked(container: Container, point: MountPoint) -> VolumeOptions:
        for request in container.host.mounts or ():
            if request.target == point.destination and request.volume_options:
                return request.volume_options
        return VolumeOptions()

    async def _copy_up(self, container: Container, points: Sequence[MountPoint], rootfs: list[Any]) -> None:
        target = self._parts.folders.rootfs(container.id)
        await self._pool.run("container.create.mount", lambda: mount_all(rootfs, target))
        try:
            for point in points:
                path = await self._parts.volumes.attach(point.name, container.id)
                await self._parts.volumes.fill(point.name, path, target, point.destination)
        finally:
            for point in points:
                await self._parts.volumes.detach(point.name, container.id)
            await self._pool.run("container.create.unmount", lambda: unmount_all(target))

    async def _undo_create(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        if self._book.table.get(id) is None:
            await self._pool.run("container.undo.unmount", lambda: unmount_all(self._parts.folders.rootfs(id)))
            for name in data["attached"]:
                await self._parts.volumes.detach(name, id)
            await self._erase(id)
            await self._discard_volumes(id)
        return ()

    async def _discard_volumes(self, id: str) -> None:
        self._book.removing.add(id)  # the creation that has failed does not need them any more
        try:
            await self._parts.volumes.discard(id)
        finally:
            self._book.removing.discard(id)

    # --- removal ---

    async def remove(self, container: Container, *, volumes: bool) -> None:
        """Remove a container that does not run. Only forward: what fails is tried again, here and at the next start."""
        self._book.removing.add(container.id)
        try:
            await self._journal.forward("container.remove", container.id, volumes=volumes)
        finally:
            self._book.removing.discard(container.id)
        await self.release(container)

    async def release(self, container: Container) -> None:
        """The container has gone, and with it what it stood on, if nobody else needs that."""
        await self._images.release(container.image_id)

    async def _finish_remove(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        container = self._book.table.get(id)
        if container is None:
            return ()
        await self._launcher.teardown(container, container.networks)
        (row,) = await self.erase(container, volumes=bool(data["volumes"]))

        def gone() -> None:
            row.publish()
            self._book.emit("destroy", container)
            self._book.ended(id, ExitResult(exit_code=container.state.exit_code), removed=True)

        return (attrs.evolve(row, publish=gone),)

    async def erase(self, container: Container, *, volumes: bool) -> Sequence[Change]:
        """Remove what a torn-down container has on the disk; the rows to change."""
        self._book.removing.add(container.id)
        try:
            await self._erase(container.id)
            if volumes:
                await self._remove_volumes([p.name for p in container.mounts if p.anonymous])
        finally:
            self._book.removing.discard(container.id)
        return (self._book.table.drop(container.id),)

    async def _erase(self, id: str) -> None:
        parts = self._parts
        await self._pool.run("container.erase.folder", lambda: remove_tree(parts.folders.container(id)))
        await parts.drivers.call("container.erase.snapshot", parts.storage, lambda hook: hook.remove(key=id))

    async def _remove_volumes(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                await self._parts.volumes.remove(name, force=True)
            except Conflict:
                continue  # somebody else uses it by now, so it stays


def warnings(image: Image, spec: ContainerSpec, host: HostConfig, cgroup_version: int) -> list[str]:
    """What the caller should know about what was asked."""
    found = lacking(spec.host.resources, cgroup_version).warnings()
    if host.resources.oom_kill_disable and not host.resources.memory:
        found.append(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    if host.network_mode == "host" and (host.port_bindings or host.publish_all_ports):
        found.append("Published ports are discarded when using host network mode")
    own = Platform.of_host()
    if not spec.platform and image.architecture and best({"": Platform.of(image)}, own) is None:
        found.append(
            f"The requested image's platform ({Platform.of(image)}) does not match the detected host platform ({own}) "
            "and no specific platform was requested"
        )
    return found
