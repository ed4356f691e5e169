"""An engine in this process, on a data root that outlives it, and what a sweep does with it. Run as a program.

sweep_lab.py ROOT trace [SCENARIO...]       each scenario once; prints {scenario: [steps reached]} and the outcomes
sweep_lab.py ROOT error SCENARIO STEP...    each step fails once, before and after; prints the problems, and the steps
                                            that the way back from each failure reaches
sweep_lab.py ROOT again SCENARIO STEP/UNDO...   a step fails, and on the way back another, until the engine's next start
sweep_lab.py ROOT kill SCENARIO STEP PLACE  recovers, checks what the last kill left, and dies in this step
sweep_lab.py ROOT kill SCENARIO STEP/UNDO PLACE  the same, but the step fails, and the engine dies on the way back
sweep_lab.py ROOT end                       recovers, checks, and ends in order

WHERRY_LAB_BUG in the environment names a bug of tests.fire.bugs to be planted first.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from tests.fire.bugs import plant

from wherry.errors import Failed, NotFound, WherryError
from wherry.linux import cgroups, steps
from wherry.linux.mountinfo import mounts
from wherry.linux.netlink import remove_link
from wherry.model.commits import CommitSpec
from wherry.model.configs import Config, HostConfig, PortBinding, Resources
from wherry.model.containers import ContainerSpec
from wherry.model.execs import ExecSpec
from wherry.model.networks import EndpointSpec, NetworkSpec
from wherry.model.runtimes import RuntimeProgram
from wherry.model.volumes import VolumeSpec
from wherry.spec.network import NetworkDriver
from wherry_engine.engine.engine import Engine
from wherry_engine.engine.filters import Filters
from wherry_engine.engine.settings import Settings
from wherry_network.resolver.service import ResolverService

GROUPED = Resources(cgroup_parent="sweep-lab/deep")

Act = Callable[[Engine], Awaitable[Any]]


def busybox() -> bytes:
    """A root file system with little but busybox, and something under /seed for volumes to start with."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "seed"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "sleep", "true"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        seed = tarfile.TarInfo("seed/file")
        seed.size = 4
        tar.addfile(seed, io.BytesIO(b"seed"))
    return out.getvalue()


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1 << 20):
        yield data[at : at + (1 << 20)]


async def load(engine: Engine, name: str, extra: str = "") -> None:
    changes = ("CMD sleep 100", f"LABEL extra={extra}") if extra else ("CMD sleep 100",)
    await engine.images.import_(stream(busybox() + b"\0" * 512 * len(extra)), repository=name, changes=changes)


async def save(engine: Engine) -> None:
    """All of the archive must come: a part of it is a failure."""
    found = b"".join([data async for data in await engine.images.save(["base"])])
    assert found.endswith(bytes(1024))


async def load_twice(engine: Engine) -> None:
    """A layer whose archive has a file twice, so that its record must hold all of it; compressed."""
    twice = busybox()[: -(-busybox().rstrip(b"\0").__len__() // 512) * 512]
    await engine.images.import_(stream(gzip.compress(twice + busybox(), 1)), repository="fresh")


async def reload(engine: Engine) -> None:
    """What `load_saved` left."""
    await engine.images.load(stream((engine_root(engine) / "saved.tar.gz").read_bytes()))


async def keep_saved(engine: Engine) -> None:
    """An image's archive in a file, and no image."""
    await load(engine, "fresh", "more")
    saved = b"".join([data async for data in await engine.images.save(["fresh"])])
    (engine_root(engine) / "saved.tar.gz").write_bytes(gzip.compress(saved, 1))
    await engine.images.remove("fresh")


async def copy_out(engine: Engine) -> None:
    """Of a container that does not run, with a volume that must be mounted for it."""
    stat, pieces = await engine.archives.get("one", "/bin")
    found = b"".join([data async for data in pieces])
    assert (stat.name, found[-1024:]) == ("bin", bytes(1024))


async def copy_in(engine: Engine) -> None:
    await engine.archives.put("one", "/", stream(busybox()), keep_kinds=False, copy_owner=False)


async def export(engine: Engine) -> None:
    assert b"".join([data async for data in engine.archives.export("one")]).endswith(bytes(1024))


async def changed(engine: Engine) -> None:
    await engine.containers.create(spec("one"))
    await copy_in(engine)


async def changed_running(engine: Engine) -> None:
    await changed(engine)
    await engine.containers.start("one")


async def commit(engine: Engine) -> None:
    """The image stays when the container is removed."""
    await engine.commit("one", CommitSpec(repository="fresh"))


def engine_root(engine: Engine) -> Path:
    return engine._settings.data_root.parent


def spec(name: str, **host: Any) -> ContainerSpec:
    config = Config(image="base", cmd=("sleep", "100"), volumes=("/seed",), stop_signal="KILL")
    given = HostConfig(
        network_mode="lab", binds=("kept:/kept",), port_bindings={"80/tcp": (PortBinding(host_port="18080"),)}
    )
    return ContainerSpec(name=name, config=config, host=attrs.evolve(given, **host))


async def run(engine: Engine, name: str, **host: Any) -> None:
    await engine.containers.create(spec(name, **host))
    await engine.containers.start(name)


async def used(engine: Engine) -> None:
    await load(engine, "fresh", "more")
    fresh = spec("one")
    await engine.containers.create(attrs.evolve(fresh, config=attrs.evolve(fresh.config, image="fresh")))


async def without_image(engine: Engine) -> None:
    await used(engine)
    await engine.images.remove("fresh", force=True)


async def removed(engine: Engine) -> None:
    await engine.containers.start("auto")
    gone = engine.containers.wait("auto", "removed")
    await engine.containers.kill("auto")
    await asyncio.wait_for(gone, 10)


async def mounted(engine: Engine) -> None:
    await engine.volumes.create(VolumeSpec(name="ram", options={"type": "tmpfs", "device": "tmpfs"}))
    await engine.containers.create(spec("one", binds=("ram:/kept",)))


async def mounted_running(engine: Engine) -> None:
    await mounted(engine)
    await engine.containers.start("one")


async def ended(engine: Engine) -> None:
    over = engine.containers.wait("one", "next-exit")
    await engine.containers.kill("one")
    await asyncio.wait_for(over, 10)


async def executed(engine: Engine) -> None:
    id = engine.execs.create("one", ExecSpec(command=("true",), tty=True))
    streams = await engine.execs.start(id)
    streams.release()
    await asyncio.wait_for(streams.ended.wait(), 10)


async def probed(engine: Engine) -> None:
    """A probe that took too long."""
    id = engine.execs.create("one", ExecSpec(command=("sleep", "100"), probe=True))
    streams = await engine.execs.start(id)
    streams.release()
    await engine.execs.end(id)
    await asyncio.wait_for(streams.ended.wait(), 10)


async def on_two_networks(engine: Engine) -> None:
    await on_one_of_two(engine)
    await engine.memberships.connect("early", "one", EndpointSpec())


async def on_one_of_two(engine: Engine) -> None:
    await engine.networks.create(NetworkSpec(name="early"))
    await run(engine, "one")


async def mended(engine: Engine) -> None:
    hook = (await engine.drivers.get(NetworkDriver, "bridge")).hook
    remove_link(f"wv{hook.list_endpoints()[0][1][:12]}")
    while not hook.list_endpoints():
        await asyncio.sleep(0.05)


async def linked(engine: Engine) -> None:
    """Two in the default network, of which one knows the other; they are in a network with names as well."""
    any_port = {"80/tcp": (PortBinding(),)}
    for name, links in (("one", ()), ("two", ("one:friend",))):
        await run(engine, name, network_mode="bridge", port_bindings=any_port, links=links)
        await engine.memberships.connect("lab", name, EndpointSpec())


async def paused(engine: Engine) -> None:
    await run(engine, "one")
    await engine.containers.pause("one")


async def nothing(engine: Engine) -> None:
    del engine


@attrs.frozen
class Scenario:
    """`act` on what `prepare` made."""

    act: Act
    prepare: Act = nothing


SCENARIOS: dict[str, Scenario] = {
    "volume-create": Scenario(lambda e: e.volumes.create(VolumeSpec(name="fresh"))),
    "volume-mounted": Scenario(lambda e: e.containers.start("one"), mounted),
    "volume-unmounted": Scenario(lambda e: e.containers.stop("one"), mounted_running),
    "volume-remove": Scenario(lambda e: e.volumes.remove("fresh"), lambda e: e.volumes.create(VolumeSpec(name="fresh"))),
    "network-create": Scenario(lambda e: e.networks.create(NetworkSpec(name="fresh"))),
    "network-remove": Scenario(lambda e: e.networks.remove("fresh"), lambda e: e.networks.create(NetworkSpec(name="fresh"))),
    # The network of the earlier name leads out, so the published port moves with the container.
    "network-connect": Scenario(lambda e: e.memberships.connect("early", "one", EndpointSpec()), on_one_of_two),
    "network-disconnect": Scenario(lambda e: e.memberships.disconnect("early", "one", False), on_two_networks),
    "network-mended": Scenario(mended, lambda e: run(e, "one")),
    "image-import": Scenario(lambda e: load(e, "fresh", "more")),
    "image-save": Scenario(save),
    "image-import-twice": Scenario(load_twice),
    "image-load": Scenario(reload, keep_saved),
    "copy-out": Scenario(copy_out, mounted),
    "copy-in": Scenario(copy_in, mounted),
    "container-export": Scenario(export, mounted),
    "container-pause": Scenario(lambda e: e.containers.pause("one"), lambda e: run(e, "one")),
    "container-unpause": Scenario(lambda e: e.containers.unpause("one"), paused),
    "container-commit-running": Scenario(commit, changed_running),
    "container-commit": Scenario(commit, changed),
    "image-remove-used": Scenario(lambda e: e.images.remove("fresh", force=True), used),
    "image-release": Scenario(lambda e: e.containers.remove("one"), without_image),
    "image-remove": Scenario(lambda e: e.images.remove("fresh"), lambda e: load(e, "fresh", "more")),
    "container-create": Scenario(lambda e: e.containers.create(spec("one"))),
    "container-create-named": Scenario(lambda e: e.containers.create(spec("one", runtime="named"))),
    "container-start": Scenario(lambda e: e.containers.start("one"), lambda e: e.containers.create(spec("one"))),
    "container-start-shared": Scenario(
        lambda e: e.containers.start("one"), lambda e: e.containers.create(spec("one", ipc_mode="shareable"))
    ),
    "container-stop-shared": Scenario(
        lambda e: e.containers.stop("one"), lambda e: run(e, "one", ipc_mode="shareable")
    ),
    "container-start-grouped": Scenario(
        lambda e: e.containers.start("one"), lambda e: e.containers.create(spec("one", resources=GROUPED))
    ),
    "container-stop-grouped": Scenario(lambda e: e.containers.stop("one"), lambda e: run(e, "one", resources=GROUPED)),
    "container-stop": Scenario(lambda e: e.containers.stop("one"), lambda e: run(e, "one")),
    "container-end": Scenario(ended, lambda e: run(e, "one")),
    "container-exec": Scenario(executed, lambda e: run(e, "one")),
    "container-exec-end": Scenario(probed, lambda e: run(e, "one")),
    "container-remove": Scenario(
        lambda e: e.containers.remove("one", volumes=True), lambda e: e.containers.create(spec("one"))
    ),
    "container-kill-paused": Scenario(lambda e: e.containers.kill("one"), paused),
    "container-update": Scenario(
        lambda e: e.containers.update("one", Resources(pids_limit=50)), lambda e: run(e, "one")
    ),
    "container-top": Scenario(lambda e: e.containers.top("one"), lambda e: run(e, "one")),
    "container-stats": Scenario(lambda e: e.containers.stats("one", pair=True), lambda e: run(e, "one")),
    "container-rename": Scenario(lambda e: e.containers.rename("one", "two"), lambda e: e.containers.create(spec("one"))),
    "container-unlink": Scenario(lambda e: e.containers.remove("two/friend", link=True), linked),
    "container-prune": Scenario(lambda e: e.containers.prune(Filters()), lambda e: e.containers.create(spec("one"))),
    "container-size": Scenario(lambda e: e.containers.size("one"), lambda e: e.containers.create(spec("one"))),
    "engine-info": Scenario(lambda e: e.info()),
    "engine-warm": Scenario(lambda e: e.ping_hint()),
    "container-auto-remove": Scenario(removed, lambda e: e.containers.create(spec("auto", auto_remove=True))),
}  # fmt: skip


class Lab:
    """The engine of a root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        runtimes = {"named": RuntimeProgram("runc")}
        self.settings = Settings(data_root=root / "data", exec_root=root / "run", runtimes=runtimes)
        self.engine = Engine(self.settings)

    async def start(self) -> None:
        self.engine = Engine(self.settings)
        self.engine.broadcasts.register(ResolverService(self.engine), "resolver")
        await self.engine.start()
        if not self.engine.images.list():
            await load(self.engine, "base")
        if not [n for n in self.engine.networks.list() if n.name == "lab"]:
            await self.engine.networks.create(NetworkSpec(name="lab", enable_ipv6=True))
        await self.engine.volumes.create(VolumeSpec(name="kept"))

    async def clean(self) -> None:
        """Back to what `start` makes."""
        engine = self.engine
        for container in engine.containers.list():
            await engine.containers.remove(container.id, force=True, volumes=True)
        for volume in engine.volumes.list():
            if volume.name != "kept":
                await engine.volumes.remove(volume.name)
        for network in engine.networks.list():
            if not network.predefined and network.name != "lab":
                await engine.networks.remove(network.id)
        for image in engine.images.list():
            if image.tags != ("base:latest",):
                with suppress(NotFound):  # it has gone with its child
                    await engine.images.remove(image.id, force=True)

    def state(self) -> dict[str, Any]:
        """What users see, without ids."""
        engine = self.engine
        containers = [(c.name, c.state.status, c.state.error != "", len(c.ports)) for c in engine.containers.list()]
        return {
            "containers": sorted(map(list, containers)),
            "volumes": sorted(
                "anonymous" if v.anonymous or len(v.name) == 64 else v.name for v in engine.volumes.list()
            ),
            "networks": sorted(n.name for n in engine.networks.list()),
            "members": sorted([c.name, sorted(c.networks)] for c in engine.containers.list()),
            "images": sorted(",".join(i.tags) for i in engine.images.list()),
        }

    async def faults(self) -> list[str]:
        """Where the host and the records disagree."""
        engine, data = self.engine, self.root / "data"
        containers = {c.id for c in engine.containers.list()}
        running = {c.id for c in engine.containers.list() if c.running}
        known = (*(i.image for i in engine.images.list()), *engine.images._book.remains)
        wanted = {chain[7:] for image in known for chain in image.chain_ids} | containers
        hook = (await engine.drivers.get(NetworkDriver, "bridge")).hook
        pairs: list[tuple[str, set[str], set[str]]] = [
            ("snapshots", {s.key for s in engine._storage.hook.list_snapshots()}, wanted),
            ("container folders", _names(data / "containers"), containers),
            ("root file systems", {m.target.rpartition("/")[2] for m in mounts(str(data / "mounts"))}, running),
            ("mount points", _names(data / "mounts"), running),
            ("volume mounts", {m.target.rpartition("/")[2] for m in mounts(str(data / "volume-mounts"))},
             {p.name for c in engine.containers.list() if c.running for p in c.mounts if p.name == "ram"}),
            ("volumes", _names(data / "volume" / "local") - {".new"}, {v.name for v in engine.volumes.list()}),
            ("blobs", _names(data / "images" / "blobs" / "sha256"), {i.id[7:] for i in engine.images.list()}),
            ("layer records", _names(data / "images" / "layers"), wanted - containers),
            ("remains of images", {i.id for i in engine.images._book.remains},
             {i.id for i in engine.images._book.remains if any(c.image_id == i.id for c in engine.containers.list())}),
            ("received archives", _names(data / "images" / "tmp"), set()),
            ("sandboxes", _names(self.root / "run" / "netns"), running),
            ("resolver's sandboxes", _names(self.root / "run" / "resolver") - {"control.sock"},
             {f"{id}.json" for id in running}),
            ("interfaces", {id for _, id in hook.list_endpoints()},
             {p.endpoint_id for c in engine.containers.list() if c.running for p in c.networks.values()}),
            ("bundles", _names(self.root / "run" / "bundles"), running),
            ("shared memory", _names(self.root / "run" / "shm"),
             {c.id for c in engine.containers.list() if c.running and c.host.ipc_mode == "shareable"}),
            ("processes", {p.id for p in await engine._processes.list()}, running),
            ("frozen groups", {c.id for c in engine.containers.list() if c.running and _frozen(engine._groups.of(c))},
             {c.id for c in engine.containers.list() if c.state.status == "paused"}),
            ("groups above", {top.name for top in cgroups.hierarchies() if (top / "sweep-lab").exists()},
             {top.name for top in cgroups.hierarchies() for c in engine.containers.list()
              if c.running and c.host.resources.cgroup_parent and (top / f"sweep-lab/deep/{c.id}").exists()}),
            ("execs that run", {e.shown.id for e in engine.execs._all.values() if e.shown.running}, set()),
            ("reserved ports", set(await engine._processes.ports()), running),
            ("intents", {i.name for i in engine._journal.pending()}, set()),
        ]  # fmt: skip
        return [f"{what}: {sorted(is_)} instead of {sorted(should)}" for what, is_, should in pairs if is_ != should]


def _frozen(group: str) -> bool:
    where = cgroups.folder("freezer", group)
    file, word = ("cgroup.freeze", "1") if cgroups.version() == 2 else ("freezer.state", "FROZEN")
    return (where / file).read_text().strip() == word


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


async def settled(lab: Lab) -> list[str]:
    """The faults that stay: what runs in the background gets two seconds."""
    for _ in range(40):
        await lab.engine._parts.ends.settled()
        if not (faults := await lab.faults()):
            return [str(finding) for finding in await lab.engine.check()]
        await asyncio.sleep(0.05)
    return faults


async def trace(lab: Lab, names: list[str]) -> dict[str, Any]:
    """Each of these scenarios (none: of all) once, unhindered: the steps it reaches, and the states before and after."""
    result: dict[str, Any] = {}
    await lab.start()
    for name in names or SCENARIOS:
        scenario = SCENARIOS[name]
        await scenario.prepare(lab.engine)
        before = lab.state()
        REACHED.clear()
        await scenario.act(lab.engine)
        after, reached = lab.state(), sorted(REACHED - (BACKGROUND if name != "network-mended" else set()))
        result[name] = {"steps": reached, "before": before, "after": after, "faults": await settled(lab)}
        await lab.clean()
    await lab.engine.stop()
    return result


REACHED: set[str] = set()
# These follow any change of the network after a moment, so only the scenario that waits for them counts.
BACKGROUND = {"network.check", "network.survey"}
SECOND: list[str] = []  # what is armed once a failpoint has fired


def note_steps(file: Path) -> None:
    """Remember every step that is reached, and write it down at once: this process may be killed."""
    original = steps._fire
    notes = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(name: str, place: str) -> None:
        if name not in REACHED:
            REACHED.add(name)
            os.write(notes, f"{name}\n".encode())
        try:
            original(name, place)
        except steps.Failpoint:
            REACHED.clear()  # from here on it is the way back that reaches them
            if SECOND:
                steps.arm(SECOND[0])
            raise

    steps._fire = note


async def plain(lab: Lab, site: str, failpoint: str = "") -> list[str]:
    """A container's life where a snapshot is no overlay and a volume's driver is told of its last use; a step may fail."""
    sys.path.insert(0, site)
    lab = Lab(lab.root / "plain")
    lab.settings = attrs.evolve(lab.settings, storage_driver="plain")
    await lab.start()
    await lab.clean()
    problems = await settled(lab)  # of the life before, which may have been killed
    steps.arm(failpoint)
    failed = ""
    try:
        await _noted_use(lab.engine)
        await load(lab.engine, "fresh", "more")
    except (WherryError, OSError) as cause:
        failed = f"{type(cause).__name__}: {cause}"
    if steps._armed:
        problems.append(f"{failpoint} was not reached")
    elif failed and not failpoint:
        problems.append(failed)
    steps.arm("")
    problems += [str(s) for s in lab.engine._storage.hook.list_snapshots() if s.key.startswith("add-")]
    await lab.clean()
    problems += [f"{failpoint}: {fault} (after {failed or 'success'})" for fault in await settled(lab)]
    await lab.engine.stop()
    return problems


async def _noted_use(engine: Engine) -> None:
    """A volume is used by one container, and its driver is told when that is over."""
    notes = engine._settings.data_root / "volume" / "noted" / "detached"
    notes.unlink(missing_ok=True)
    await engine.volumes.create(VolumeSpec(name="noted", driver="noted"))
    await run(engine, "one", binds=("noted:/kept",))
    await ended(engine)
    if "noted" not in notes.read_text().split():
        raise Failed("the volume driver was not told of the last use")


async def error(lab: Lab, name: str, names: list[str]) -> dict[str, Any]:
    """Each step of a scenario fails once: the state is as before, or, where there is no way back, as after."""
    await lab.start()
    problems: list[str] = []
    back: dict[str, list[str]] = {}
    outcomes = json.loads((lab.root / "trace.json").read_text())[name]
    for step in names:
        for place in ("before", "after"):
            await SCENARIOS[name].prepare(lab.engine)
            steps.arm(f"{step}=error@{place}")
            failed = ""
            try:
                await asyncio.wait_for(SCENARIOS[name].act(lab.engine), 20)
            except (WherryError, OSError, TimeoutError) as cause:
                failed = f"{type(cause).__name__}: {cause}"
            fired = not steps._armed
            steps.arm("")
            back[step] = sorted(REACHED - BACKGROUND)
            problems += [f"{step}@{place}: {fault} (after {failed or 'success'})" for fault in await settled(lab)]
            expected = outcomes["before"] if failed else outcomes["after"]
            if _comparable(lab.state()) != _comparable(expected):
                problems.append(f"{step}@{place}: {lab.state()} instead of {expected} (after {failed or 'success'})")
            if not fired:
                problems.append(f"{step}@{place}: was not reached")
            await lab.clean()
    await lab.engine.stop()
    return {"problems": problems, "back": back}


async def again(lab: Lab, name: str, pairs: list[str]) -> list[str]:
    """A step fails, and then one of the way back, whenever it is tried: the next start finishes what was begun."""
    await lab.start()
    problems: list[str] = []
    outcomes = json.loads((lab.root / "trace.json").read_text())[name]
    for pair in pairs:
        step, undo = pair.split("/")
        await SCENARIOS[name].prepare(lab.engine)
        steps.arm(f"{step}=error")
        SECOND[:] = [f"{undo}=error@before"]
        failed = ""
        try:
            await asyncio.wait_for(SCENARIOS[name].act(lab.engine), 3)
        except (WherryError, OSError, TimeoutError) as cause:
            failed = f"{type(cause).__name__}: {cause}"
        await lab.engine.stop()
        SECOND.clear()
        steps.arm("")
        await lab.start()
        problems += [f"{pair}: {fault} (after {failed or 'success'})" for fault in await settled(lab)]
        if _comparable(lab.state()) not in (_comparable(outcomes["before"]), _comparable(outcomes["after"])):
            problems.append(f"{pair}: {lab.state()} is neither as before nor as after (after {failed or 'success'})")
        await lab.clean()
    await lab.engine.stop()
    return problems


def _comparable(state: dict[str, Any]) -> dict[str, Any]:
    """A failed start is recorded with its error, as Docker does; all else is as if it had never been attempted."""
    return state | {"containers": [[name, status, ports] for name, status, _, ports in state["containers"]]}


async def check_last(lab: Lab) -> list[str]:
    """What the last kill left, after recovery, is one of the two states that its scenario knows."""
    last = lab.root / "last.json"
    await lab.start()
    problems = await settled(lab)
    if last.exists():
        killed = json.loads(last.read_text())
        outcomes = json.loads((lab.root / "trace.json").read_text())[killed["scenario"]]
        last.unlink()
        if _comparable(lab.state()) not in (
            _comparable(outcomes["before"]),
            _comparable(outcomes["after"]),
            killed["before"],
        ):
            problems.append(f"{lab.state()} is neither as before nor as after")
        problems = [f"killed in {killed['step']} of {killed['scenario']}: {problem}" for problem in problems]
    await lab.clean()
    return problems


async def kill(lab: Lab, name: str, step: str, place: str) -> list[str]:
    problems = await check_last(lab)
    if problems:
        return problems
    await SCENARIOS[name].prepare(lab.engine)
    record = {"scenario": name, "step": f"{step}@{place}", "before": _comparable(lab.state())}
    (lab.root / "last.json").write_text(json.dumps(record))
    first, _, undo = step.partition("/")
    if undo:
        SECOND.append(f"{undo}=kill@{place}")
    steps.arm(f"{first}=error" if undo else f"{first}=kill@{place}")
    with suppress(WherryError, OSError):  # of the step that fails, before the kill on the way back
        await SCENARIOS[name].act(lab.engine)
    await asyncio.sleep(1)
    return [f"{step}@{place} was not reached by {name}"]


async def end(lab: Lab) -> list[str]:
    problems = await check_last(lab)
    await lab.engine.stop()
    return problems


def main(root: str, mode: str, *rest: str) -> int:
    lab = Lab(Path(root))
    note_steps(lab.root / "reached")
    if bug := os.environ.get("WHERRY_LAB_BUG"):
        plant(bug)
    if mode == "trace":
        result = asyncio.run(trace(lab, list(rest)))
        (lab.root / "trace.json").write_text(json.dumps(result))
        return 0
    if mode == "error":
        sys.stdout.write(json.dumps(asyncio.run(error(lab, rest[0], list(rest[1:])))))
        return 0
    if mode == "again":
        problems = asyncio.run(again(lab, rest[0], list(rest[1:])))
    elif mode == "kill":
        problems = asyncio.run(kill(lab, rest[0], rest[1], rest[2]))
    elif mode == "plain":
        problems = asyncio.run(plain(lab, *rest))
    else:
        problems = asyncio.run(end(lab))
    sys.stdout.write(json.dumps(problems))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
