"""A small engine in memory, with the facade that the API calls: containers are echoes of what a test sends to them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

import attrs
from tests.api.fake_archives import FakeArchives
from tests.api.fake_execs import FakeExecs

from wherry.errors import Conflict, Invalid, NotFound, NotModified
from wherry.model.commits import CommitSpec
from wherry.model.configs import Config, HostConfig, Resources, RestartPolicy
from wherry.model.containers import Container, ContainerSpec, Created, ExitResult, MountPoint, PrunedContainers, State
from wherry.model.findings import Finding
from wherry.model.images import History, Image, ImageProgress, ImageRecord, Pruned, Removal
from wherry.model.logs import LogQuery, Record
from wherry.model.names import new_id
from wherry.model.networks import EndpointRecord, EndpointSpec, IpamPool, NetworkRecord, NetworkSpec, PortMapping
from wherry.model.references import parse_reference
from wherry.model.stats import BlockEntry, CpuFigures, Figures, InterfaceFigures, MemoryFigures, Stats
from wherry.model.system import Component, EngineInfo, PluginNames, RuntimeInfo, VersionInfo
from wherry.model.usage import ContainerUsage, DiskUsage, ImageUsage, VolumeUsage
from wherry.model.volumes import VolumeRecord, VolumeSpec
from wherry_engine.engine.events import Events
from wherry_engine.engine.filters import Filters
from wherry_engine.loader.report import PluginRow

IMAGE = "sha256:" + "ab" * 32


def busybox() -> ImageRecord:
    """An image with one name."""
    image = Image(
        id=IMAGE,
        config=Config(env=("PATH=/bin",), cmd=("sh",), labels={"from": "debian"}),
        created="2024-01-02T03:04:05.6Z",
        layers=("sha256:" + "cd" * 32,),
        chain_ids=("sha256:" + "cd" * 32,),
        history=(
            History(created_ns=10**18, created_by="ADD rootfs"),
            History(created_ns=10**18, created_by="CMD", empty_layer=True),
        ),
        size=4_000_000,
    )
    return ImageRecord(image=image, tags=("busybox:latest",))


@attrs.frozen
class Files:
    """Paths of a container's files."""

    resolv_conf: str = "/c/resolv.conf"
    hostname: str = "/c/hostname"
    hosts: str = "/c/hosts"


@attrs.define
class FakeAttached:
    """The API's end of a stream; the test has the other one."""

    sock: socket.socket
    closed: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def close_stdin(self) -> None:
        """Note it."""
        self.closed.set()


def figures() -> Figures:
    """A sample of a host with control groups of version 1."""
    return Figures(
        read_ns=1_700_000_000_123_456_789,
        cpu=CpuFigures(
            total=300, kernel=100, user=200, per_cpu=(250, 50), host=4000, online=2, periods=5, throttled_periods=4,
            throttled=30,
        ),
        memory=MemoryFigures(usage=5000, limit=9000, peak=6000, failures=1, details={"cache": 10, "total_inactive_file": 7}),
        block_bytes=(BlockEntry(8, 0, "Read", 4096),),
        block_operations=(BlockEntry(8, 0, "Read", 1),),
        processes=3,
        processes_limit=100,
        interfaces={
            "eth0": InterfaceFigures(
                rx_bytes=1, rx_packets=2, rx_errors=3, rx_dropped=4, tx_bytes=5, tx_packets=6, tx_errors=7, tx_dropped=8
            )
        },
    )  # fmt: skip


class FakeContainers:
    """Containers that do what they are told, and nothing else."""

    def __init__(self, events: Events) -> None:
        self.all: dict[str, Container] = {}
        self.calls: list[tuple[object, ...]] = []
        self.records: list[Record] = []
        self.more = asyncio.Event()  # set to end a log that is followed
        self.attached: asyncio.Queue[tuple[FakeAttached, socket.socket]] = asyncio.Queue()
        self.waiters: list[asyncio.Future[ExitResult]] = []
        self.logs_open = 0
        self.asked = 0
        self.delay = 0.0
        self.failure: BaseException | None = None
        self.events = events
        self.figures = figures()

    def add(self, container: Container) -> Container:
        """Have this one."""
        self.all[container.id] = container
        return container

    async def create(self, spec: ContainerSpec) -> Created:
        """Have one like this."""
        if self.failure:
            raise self.failure
        if spec.config.image not in ("busybox", "busybox:latest", IMAGE):
            raise NotFound(f"No such image: {parse_reference(spec.config.image).tagged}")
        await asyncio.sleep(self.delay)
        path, *args = spec.config.cmd or ("sh",)
        container = make_container(
            name=spec.name or "quiet_owl", config=spec.config, host=spec.host, path=path, args=tuple(args),
            networks={name: EndpointRecord(network_id="b" * 64, spec=each) for name, each in spec.endpoints.items()},
        )  # fmt: skip
        self.add(container)
        self.calls.append(("create", spec))
        self.events.emit("container", "create", container.id, {"image": spec.config.image, "name": container.name})
        return Created(id=container.id, warnings=("a warning",))

    def get(self, ref: str) -> Container:
        """By id, beginning of an id, or name."""
        self.asked += 1
        for container in self.all.values():
            if container.name == ref or container.id.startswith(ref):
                return container
        raise NotFound(f"No such container: {ref}")

    def list(self) -> Sequence[Container]:
        """All, newest first."""
        return sorted(self.all.values(), key=lambda c: c.created_ns, reverse=True)

    def _change(self, ref: str, state: State) -> None:
        container = self.get(ref)
        self.all[container.id] = attrs.evolve(container, state=state)

    async def start(self, ref: str) -> None:
        """It runs."""
        if self.get(ref).running:
            raise NotModified(f"{ref} runs")
        self._change(ref, State(status="running", started_ns=time.time_ns(), pid=4711))

    async def stop(self, ref: str, timeout: int | None, signal: str | None) -> None:
        """It ends, after a while."""
        await asyncio.sleep(self.delay)
        self.calls.append(("stop", self.get(ref).name, timeout, signal))
        if not self.get(ref).running:
            raise NotModified(f"{ref} does not run")
        self.end(ref, 143)

    def end(self, ref: str, code: int) -> None:
        """It has ended; whoever waits learns it."""
        started = self.get(ref).state.started_ns
        self._change(ref, State(status="exited", exit_code=code, started_ns=started, finished_ns=time.time_ns()))
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(ExitResult(exit_code=code))

    async def kill(self, ref: str, signal: str) -> None:
        """It gets a signal."""
        self.calls.append(("kill", self.get(ref).name, signal))
        if not self.get(ref).running:
            raise Conflict(f"cannot kill container: {ref}: container {self.get(ref).id} is not running")

    async def restart(self, ref: str, timeout: int | None, signal: str | None) -> None:
        """It is started afresh."""
        self.calls.append(("restart", self.get(ref).name, timeout, signal))

    async def remove(self, ref: str, *, force: bool, volumes: bool, link: bool = False) -> None:
        """It is gone."""
        container = self.get(ref)
        if container.running and not force:
            raise Conflict(f"cannot remove container {container.name}: container is running: stop it or force removal")
        self.calls.append(("remove", container.name, force, volumes, link))
        del self.all[container.id]

    async def pause(self, ref: str) -> None:
        """It stands still."""
        self._change(ref, State(status="paused", pid=4711))

    async def unpause(self, ref: str) -> None:
        """It goes on."""
        self._change(ref, State(status="running", pid=4711))

    async def rename(self, ref: str, name: str) -> None:
        """It has another name."""
        container = self.get(ref)
        self.all[container.id] = attrs.evolve(container, name=name)

    async def update(self, ref: str, limits: Resources, policy: RestartPolicy | None) -> None:
        """Noted."""
        self.calls.append(("update", self.get(ref).name, limits, policy))

    async def top(self, ref: str, arguments: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """One process."""
        self.calls.append(("top", self.get(ref).name, arguments))
        return ["PID", "CMD"], [["4711", "sleep 9"]]

    async def stats(self, ref: str, *, pair: bool) -> Stats:
        """Figures while it runs."""
        container = self.get(ref)
        now = self.figures if container.state.alive else None
        return Stats(id=container.id, name=container.name, now=now, before=now if pair else None)

    def watch_stats(self, ref: str) -> AsyncIterator[Stats]:
        """Three samples."""
        id = self.get(ref).id

        async def samples() -> AsyncIterator[Stats]:
            for _ in range(3):
                yield await self.stats(id, pair=True)

        return samples()

    async def prune(self, filters: Filters) -> PrunedContainers:
        """All that do not run."""
        self.calls.append(("prune", filters))
        ended = [id for id, container in self.all.items() if not container.running]
        for id in ended:
            del self.all[id]
        return PrunedContainers(removed=tuple(ended), space=10 * len(ended))

    def wait(self, ref: str, condition: str) -> Awaitable[ExitResult]:
        """Done when `end` is called."""
        self.calls.append(("wait", self.get(ref).name, condition))
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return waiter

    async def attach(self, ref: str, *, stdin: bool, stdout: bool, stderr: bool) -> FakeAttached:
        """The other end goes to the test."""
        self.calls.append(("attach", self.get(ref).name, stdin, stdout, stderr))
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        attached = FakeAttached(ours)
        self.attached.put_nowait((attached, theirs))
        return attached

    def logs(self, ref: str, query: LogQuery) -> AsyncIterator[Record]:
        """The records, and no more until `more` is set if the log is followed."""
        if self.get(ref).log_driver == "none":
            raise Invalid("configured logging driver does not support reading")
        self.calls.append(("logs", query))
        return self._read(query)

    async def _read(self, query: LogQuery) -> AsyncIterator[Record]:
        self.logs_open += 1
        try:
            for record in self.records:
                yield record
            if query.follow:
                await self.more.wait()
        finally:
            self.logs_open -= 1

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Noted."""
        self.calls.append(("resize", self.get(ref).name, height, width))

    async def size(self, ref: str) -> tuple[int, int]:
        """Its own layer and the whole."""
        return 10, 1010

    async def log_attributes(self, container: Container) -> Mapping[str, str]:
        """Its labels, all of them."""
        return container.config.labels

    def sandbox_key(self, container: Container) -> str:
        """A path."""
        return f"/run/netns/{container.id}" if container.running else ""

    def log_path(self, container: Container) -> str:
        """Of the json-file."""
        return f"/c/{container.id}-json.log"

    def files(self, container: Container) -> Files:
        """Always the same."""
        return Files()

    def graph(self, container: Container) -> Mapping[str, str]:
        """Of overlay2."""
        return {"MergedDir": "/m", "UpperDir": "/u"}


class FakeImages:
    """One image."""

    def __init__(self) -> None:
        self.all = [busybox()]
        self.received = b""
        self.calls: list[tuple[object, ...]] = []

    def list(self) -> Sequence[ImageRecord]:
        """All."""
        return self.all

    def get(self, ref: str) -> ImageRecord:
        """By name or id."""
        for record in self.all:
            digits = record.id.removeprefix("sha256:")
            if digits.startswith(ref.removeprefix("sha256:")) or parse_reference(ref).tagged in record.tags:
                return record
        raise NotFound(f"No such image: {parse_reference(ref).tagged}")

    def layer_sizes(self, image: Image) -> Sequence[int]:
        """All in one."""
        return [image.size]

    def graph(self, image: Image) -> Mapping[str, str]:
        """Of a driver that tells."""
        return {"UpperDir": "/image"}

    async def load(
        self, stream: AsyncIterator[bytes], *, platform: str, progress: Callable[[ImageProgress], None]
    ) -> Sequence[str]:
        """Takes anything but an empty archive."""
        self.received = b"".join([data async for data in stream])
        if not self.received:
            raise Invalid("the archive is empty")
        progress(ImageProgress("0123456789ab", "Loading layer", 50, 100))
        return ["Loaded image: busybox:latest"]

    async def import_(
        self,
        stream: AsyncIterator[bytes],
        *,
        repository: str,
        tag: str,
        changes: Sequence[str],
        message: str,
        platform: str,
    ) -> str:
        """Takes anything."""
        self.received = b"".join([data async for data in stream])
        self.calls.append(("import", repository, tag, tuple(changes), message))
        return IMAGE

    async def save(self, refs: Sequence[str], *, platform: str) -> AsyncIterator[bytes]:
        """Says whose archive it would be."""
        found = [self.get(ref).id for ref in refs]

        async def stream() -> AsyncIterator[bytes]:
            for id in found:
                yield id.encode()

        return stream()

    async def prune(self, filters: Filters) -> Pruned:
        """Nothing is unused."""
        self.calls.append(("prune", dict(filters.values)))
        return Pruned((), 0)

    async def tag(self, ref: str, repository: str, tag: str) -> None:
        """Noted."""
        self.calls.append(("tag", self.get(ref).id, repository, tag))

    async def remove(self, ref: str, *, force: bool, prune: bool) -> Removal:
        """The image goes."""
        record = self.get(ref)
        self.calls.append(("remove", ref, force, prune))
        return Removal(record.tags, (record.id,))


class FakeNetworks:
    """The predefined bridge and what is made."""

    def __init__(self, containers: FakeContainers) -> None:
        self._containers = containers
        self.calls: list[tuple[object, ...]] = []
        pool = IpamPool(subnet="172.17.0.0/16", gateway="172.17.0.1")
        spec = NetworkSpec(name="bridge", pools=(pool,))
        self.all = [NetworkRecord(id="b" * 64, created_ns=10**18, spec=spec, predefined=True)]

    async def create(self, spec: NetworkSpec) -> tuple[str, str]:
        """Have it."""
        if any(each.name == spec.name for each in self.all):
            raise Conflict(f"network with name {spec.name} already exists")
        self.all.append(NetworkRecord(id=new_id(), created_ns=time.time_ns(), spec=spec))
        return self.all[-1].id, ""

    async def remove(self, ref: str) -> None:
        """It goes."""
        self.all.remove(self.get(ref))

    def get(self, ref: str) -> NetworkRecord:
        """By name or id."""
        for each in self.all:
            if each.name == ref or each.id.startswith(ref):
                return each
        raise NotFound(f"network {ref} not found")

    def list(self) -> Sequence[NetworkRecord]:
        """All."""
        return self.all

    def containers(self, id: str) -> Mapping[str, tuple[Container, EndpointRecord]]:
        """Those with an endpoint."""
        return {
            c.id: (c, record)
            for c in self._containers.list()
            for record in c.networks.values()
            if record.network_id == id and record.endpoint_id
        }

    async def prune(self, filters: Filters) -> Sequence[str]:
        """Those without containers whose labels match."""
        free = [n for n in self.all if not n.predefined and not self.containers(n.id) and filters.labels(n.spec.labels)]
        self.all = [n for n in self.all if n not in free]
        return [n.name for n in free]

    async def connect(self, ref: str, container: str, spec: EndpointSpec) -> None:
        """Noted."""
        self.calls.append(("connect", self.get(ref).name, self._containers.get(container).name, spec))

    async def disconnect(self, ref: str, container: str, force: bool) -> None:
        """Noted."""
        self.calls.append(("disconnect", self.get(ref).name, self._containers.get(container).name, force))


class FakeVolumes:
    """Volumes without data."""

    def __init__(self) -> None:
        self.all: dict[str, VolumeRecord] = {}

    async def create(self, spec: VolumeSpec) -> VolumeRecord:
        """Have it."""
        name = spec.name or new_id()
        record = VolumeRecord(
            name=name, driver=spec.driver, created_ns=10**18, mountpoint=f"/v/{name}/_data",
            options=spec.options, labels=spec.labels,
        )  # fmt: skip
        return self.all.setdefault(name, record)

    async def remove(self, name: str, force: bool) -> None:
        """It goes."""
        if name not in self.all and force:
            return
        del self.all[self.get(name).name]

    def get(self, name: str) -> VolumeRecord:
        """By name."""
        if name not in self.all:
            raise NotFound(f"get {name}: no such volume")
        return self.all[name]

    def list(self) -> Sequence[VolumeRecord]:
        """All."""
        return list(self.all.values())

    def users(self, name: str) -> Sequence[str]:
        """One, for a volume named used."""
        return ["c"] if name == "used" else []

    async def prune(self, filters: Filters) -> tuple[Sequence[str], int]:
        """All but the used one go, if all are asked for."""
        gone = [name for name in self.all if not self.users(name)] if filters.boolean("all") else []
        for name in gone:
            del self.all[name]
        return gone, 10 * len(gone)


class FakeEngine:
    """All of them."""

    def __init__(self) -> None:
        self.events = Events()
        self.containers = FakeContainers(self.events)
        self.execs = FakeExecs()
        self.images = FakeImages()
        self.archives = FakeArchives()
        self.commits: list[tuple[str, CommitSpec]] = []
        self.networks = self.memberships = FakeNetworks(self.containers)
        self.volumes = FakeVolumes()
        self.hints = 0

    async def info(self) -> EngineInfo:
        """Enough to see each kind of field."""
        return EngineInfo(
            id="7a1b", name="host", version="0.1.0", storage_driver="overlay2", time_ns=time.time_ns(),
            storage_status=(("Backing Filesystem", "extfs"),), runtimes={"crun": RuntimeInfo(path="/usr/bin/crun")},
            default_runtime="crun", plugins=PluginNames(network=("bridge", "host", "none"), volume=("local",)),
            cpus=2, memory_total=8 << 30, root="/var/lib/wherry", firewall="nftables", warnings=("a warning",),
            kernel_version="6.1", operating_system="Debian", security_options=("name=seccomp,profile=builtin",),
        )  # fmt: skip

    async def check(self) -> Sequence[Finding]:
        return [Finding(kind="mount", object="/m", text="nothing needs it", mend="unmount it")]

    async def repair(self) -> Sequence[Finding]:
        return [attrs.evolve(each, mended=True) for each in await self.check()]

    async def plugins(self) -> Sequence[PluginRow]:
        return [
            PluginRow(
                family="storage", name="mem", version="1.0", distribution="acme", state="failed", reason="it is broken"
            )
        ]

    def version(self) -> VersionInfo:
        """With one component."""
        components = (Component(name="crun", version="1.8"),)
        return VersionInfo(version="0.1.0", language_version="python3.11", kernel_version="6.1", components=components)

    async def commit(self, ref: str, spec: CommitSpec) -> str:
        """Noted."""
        self.commits.append((ref, spec))
        return IMAGE

    async def disk_usage(self, kinds: Collection[str]) -> DiskUsage:
        """Of the first image and all volumes."""
        images = (ImageUsage(record=self.images.list()[0], shared=3, containers=1),)
        volumes = tuple(VolumeUsage(record=each, size=10, users=0) for each in self.volumes.list())
        containers = tuple(ContainerUsage(container=each, own=1, whole=5) for each in self.containers.list())
        return DiskUsage(layers=7, images=images, containers=containers, volumes=volumes)

    async def ping_hint(self) -> None:
        """Counted."""
        self.hints += 1


def make_container(**given: object) -> Container:
    """A container; what is not given is as it usually is."""
    usual: dict[str, object] = {
        "id": new_id(), "name": "web", "created_ns": time.time_ns(), "config": Config(image="busybox", cmd=("sh",)),
        "image_id": IMAGE, "storage_driver": "overlay2", "log_driver": "json-file", "runtime": "crun", "path": "sh",
    }  # fmt: skip
    given.setdefault("host", HostConfig(network_mode="bridge"))
    return Container(**{**usual, **given})  # type: ignore[arg-type]


def running_container(name: str, age: float = 3.0) -> Container:
    """One with a published port, a volume and an endpoint."""
    endpoint = EndpointRecord(
        network_id="b" * 64, spec=EndpointSpec(), endpoint_id="e" * 64, interface="eth0", address="172.17.0.2/16",
        gateway="172.17.0.1", mac="02:42:ac:11:00:02",
    )  # fmt: skip
    return make_container(
        name=name,
        created_ns=time.time_ns() - int(age * 1e9),
        config=Config(image="busybox", cmd=("sh", "-c", "sleep 1"), exposed_ports=("80/tcp", "443/tcp"), labels={"tier": "web"}),
        args=("-c", "sleep 1"),
        state=State(status="running", pid=42, started_ns=time.time_ns() - int(age * 1e9)),
        mounts=(
            MountPoint(type="volume", name="data", source="/v/data/_data", destination="/srv", driver="local", mode="z"),
            MountPoint(type="bind", source="/etc", destination="/host", writable=False, propagation="rprivate"),
        ),
        networks={"bridge": endpoint},
        ports=(PortMapping("tcp", "0.0.0.0", 8080, 80),),
    )  # fmt: skip


def interactive(**config: bool) -> Container:
    """A running container whose stdin is open."""
    given = {"open_stdin": True, "stdin_once": True, **config}
    return attrs.evolve(running_container("web"), config=Config(image="busybox", cmd=("cat",), **given))  # type: ignore[arg-type]


def socket_path(folder: Path) -> Path:
    """Where the tests' service listens."""
    return folder / "api.sock"
