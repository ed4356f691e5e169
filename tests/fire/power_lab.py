"""An engine under load whose disk is copied at random instants, and engines that begin on the copies. Run as a program.

ROOT/disk/now.img is the disk, mounted on ROOT/data; ROOT/disk has reflinks. A copy holds what had reached the disk, and
nothing of what lay in the page cache of the file system on it: what a loss of power leaves.

power_lab.py ROOT load COPIES SEED [BUG]  load, with COPIES copies ROOT/disk/N.img; what each must show is in ROOT/N.json
power_lab.py ROOT check N...              begins an engine on each copy; prints the problems
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.archives import folder
from tests.engine.sweep_lab import Lab, busybox, settled, stream
from tests.fire.bugs import plant

from wherry.errors import WherryError
from wherry.model.configs import Config, HostConfig
from wherry.model.containers import ContainerSpec
from wherry.model.networks import NetworkSpec
from wherry.model.volumes import VolumeSpec
from wherry_engine.engine.engine import Engine

FICLONE = 0x40049409  # ioctl_ficlone(2)
KEPT = 3  # of each kind; older ones are removed
Thing = tuple[str, str]  # kind, name


class Ledger:
    """What was acknowledged. A thing is in doubt while its making or its removal is under way."""

    def __init__(self) -> None:
        self.there: set[Thing] = set()
        self.gone: set[Thing] = set()
        self._copies: list[tuple[set[Thing], set[Thing]]] = []  # what must (not) be there in a copy that is being made

    async def make(self, thing: Thing, act: Awaitable[object]) -> None:
        await act
        self.there.add(thing)

    async def remove(self, thing: Thing, act: Awaitable[object]) -> None:
        self.there.discard(thing)
        for there, _ in self._copies:
            there.discard(thing)
        await act
        self.gone.add(thing)

    @contextmanager
    def copying(self) -> Iterator[tuple[set[Thing], set[Thing]]]:
        """(what must be there, what must not) in a copy that is made meanwhile."""
        expected = (set(self.there), set(self.gone))
        self._copies.append(expected)
        try:
            yield expected
        finally:
            self._copies.remove(expected)


def payload(random_: random.Random) -> tuple[str, bytes]:
    """A file whose name tells the digest of its content."""
    data = random_.randbytes(random_.randrange(1, 300_000))
    return f"payload-{hashlib.sha256(data).hexdigest()}", data


def archive(name: str, *layers: bytes) -> bytes:
    """A docker archive of one image."""
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
    }  # fmt: skip
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": names}]
    files = [("config.json", json.dumps(config).encode()), ("manifest.json", json.dumps(manifest).encode())]
    return folder(*files, *zip(names, layers, strict=True))


class Load:
    """Four workers; each makes things of its own names and removes its older ones."""

    def __init__(self, engine: Engine, seed: str) -> None:
        self.engine, self.seed, self.ledger, self.ended = engine, seed, Ledger(), False
        self.base = busybox()

    async def worker(self, kind: str, make: Callable[[str, random.Random], Awaitable[object]],
                     remove: Callable[[str], Awaitable[object]]) -> None:  # fmt: skip
        chance, names, number = random.Random(f"{self.seed} {kind}"), list[str](), 0
        while not self.ended:
            number += 1
            names.append(f"{kind}{number}")
            await self.ledger.make((kind, names[-1]), make(names[-1], chance))
            if len(names) > KEPT:
                name = names.pop(chance.randrange(KEPT))
                await self.ledger.remove((kind, name), remove(name))
            await asyncio.sleep(chance.random() * 0.02)

    async def image(self, name: str, chance: random.Random) -> None:
        """Imported, or loaded on top of a layer that all loaded ones share; then tagged, which is what is checked."""
        images, extra = self.engine.images, payload(chance)
        if chance.random() < 0.5:
            data = folder(extra, onto=self.base)
            await images.import_(stream(data), repository=f"own-{name}", changes=("CMD true", f"LABEL n={name}"))
        else:
            await images.load(stream(archive(f"own-{name}", self.base, folder(extra))))
        await images.tag(f"own-{name}", name)

    async def forget(self, name: str) -> None:
        await self.engine.images.remove(name)
        await self.engine.images.remove(f"own-{name}")

    async def container(self, name: str, chance: random.Random) -> None:
        volumes = ("/seed",) if chance.random() < 0.5 else ()
        config = Config(image="base", cmd=("true",), volumes=volumes)
        await self.engine.containers.create(
            ContainerSpec(name=name, config=config, host=HostConfig(network_mode="none"))
        )
        if chance.random() < 0.3:
            await self.engine.containers.start(name)

    def workers(self) -> list[Awaitable[None]]:
        engine = self.engine
        return [
            self.worker("image", self.image, self.forget),
            self.worker("container", self.container, lambda n: engine.containers.remove(n, force=True, volumes=True)),
            self.worker("volume", lambda n, _: engine.volumes.create(VolumeSpec(name=n)), engine.volumes.remove),
            self.worker("network", lambda n, _: engine.networks.create(NetworkSpec(name=n)), engine.networks.remove),
        ]


async def load(lab: Lab, copies: int, seed: str) -> None:
    engine = lab.engine
    await engine.start()
    await engine.images.import_(stream(busybox()), repository="base", changes=("CMD true",))
    under_load = Load(engine, seed)
    under_load.ledger.there.add(("image", "base"))
    instants = random.Random(seed)
    tasks = [asyncio.ensure_future(work) for work in under_load.workers()]
    for number in range(copies):
        await asyncio.wait(tasks, timeout=instants.uniform(0.1, 0.5), return_when=asyncio.FIRST_COMPLETED)
        with under_load.ledger.copying() as (there, gone):
            await asyncio.to_thread(copy, lab.root / "disk", number)
        (lab.root / f"{number}.json").write_text(json.dumps({"there": sorted(there), "gone": sorted(gone)}))
    under_load.ended = True
    await asyncio.gather(*tasks)
    await lab.clean()
    await engine.stop()


def copy(disk: Path, number: int) -> None:
    with (disk / "now.img").open("rb") as now, (disk / f"{number}.img").open("wb") as then:
        fcntl.ioctl(then, FICLONE, now.fileno())


def shown(engine: Engine) -> set[Thing]:
    names = {
        "image": [tag.removesuffix(":latest") for image in engine.images.list() for tag in image.tags],
        "container": [container.name for container in engine.containers.list()],
        "volume": [volume.name for volume in engine.volumes.list()],
        "network": [network.name for network in engine.networks.list()],
    }
    return {(kind, name) for kind, found in names.items() for name in found}


async def check(lab: Lab, number: int) -> list[str]:
    """What is wrong with an engine on this copy."""
    expected = json.loads((lab.root / f"{number}.json").read_text())
    there, gone = ({(kind, name) for kind, name in expected[key]} for key in ("there", "gone"))
    lab.engine = engine = Engine(lab.settings)
    try:
        await engine.start()
    except (WherryError, OSError, sqlite3.Error) as error:
        return [f"the engine does not start: {error}"]
    found = shown(engine)
    problems = [f"{kind} {name} was acknowledged and is lost" for kind, name in sorted(there - found)]
    problems += [f"{kind} {name} was removed and is back" for kind, name in sorted(gone & found)]
    problems += damaged(lab.root / "data")
    for image in engine.images.list():
        problems += await outcome(f"image {image.tags}", run(engine, image.id, f"of-{image.id[7:19]}"))
    for kind, name in sorted(found):
        if kind == "container":
            problems += await outcome(f"container {name}", begin(engine, name))
        elif kind == "volume":
            problems += await outcome(f"volume {name}", use(engine, name))
    problems += await settled(lab)
    await lab.clean()
    await engine.stop()
    with closing(sqlite3.connect(lab.root / "data" / "wherry.db")) as database:
        verdicts = [word for (word,) in database.execute("PRAGMA integrity_check")]
    return problems + [f"database: {word}" for word in verdicts if word != "ok"]


async def outcome(what: str, act: Awaitable[int]) -> list[str]:
    try:
        status = await asyncio.wait_for(act, 20)
    except (WherryError, OSError, TimeoutError) as error:
        return [f"{what} does not run: {error}"]
    return [f"{what} ended with {status}"] if status else []


async def run(engine: Engine, image: str, name: str, binds: tuple[str, ...] = ()) -> int:
    host = HostConfig(network_mode="none", auto_remove=True, binds=binds)
    await engine.containers.create(ContainerSpec(name=name, config=Config(image=image, cmd=("true",)), host=host))
    over = engine.containers.wait(name, "removed")
    await engine.containers.start(name)
    return (await over).exit_code


async def begin(engine: Engine, name: str) -> int:
    over = engine.containers.wait(name, "next-exit")
    await engine.containers.start(name)
    return (await over).exit_code


async def use(engine: Engine, name: str) -> int:
    return await run(engine, "base", f"with-{name}"[:40], (f"{name}:/here",))


def damaged(data: Path) -> list[str]:
    """Committed files that are empty, or not what their name says."""
    problems = []
    for blob in (data / "images" / "blobs" / "sha256").iterdir():
        if hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name:
            problems.append(f"blob {blob.name} is damaged, {blob.stat().st_size} bytes")
    for file in (data / "storage" / "overlay2" / "committed").glob("*/diff/**/*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            kind, _, digest = file.name.partition("-")
            if not content or (kind == "payload" and hashlib.sha256(content).hexdigest() != digest):
                problems.append(f"{file.relative_to(data)} is damaged, {len(content)} bytes")
    for file in (data / "volume" / "local").glob("*/_data/**/*"):
        if file.is_file() and not file.stat().st_size:
            problems.append(f"{file.relative_to(data)} is empty")
    return problems


async def check_all(lab: Lab, numbers: list[int]) -> list[str]:
    problems = []
    for number in numbers:
        subprocess.run(["mount", "-o", "loop", lab.root / "disk" / f"{number}.img", lab.root / "data"], check=True)
        try:
            problems += [f"copy {number}: {problem}" for problem in await check(lab, number)]
        finally:
            subprocess.run(["umount", "-R", "-l", lab.root / "data"], check=True)
    return problems


def main(root: str, mode: str, *rest: str) -> int:
    lab = Lab(Path(root))
    if mode == "load":
        copies, seed, *bugs = rest
        for bug in bugs:
            plant(bug)
        asyncio.run(load(lab, int(copies), seed))
    else:
        sys.stdout.write(json.dumps(asyncio.run(check_all(lab, [int(number) for number in rest]))))
    sys.stdout.flush()
    os._exit(0)  # what a failed check has left is ended with this process's namespaces


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
