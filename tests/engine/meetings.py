"""Operations that may meet, for meet_lab.py."""

from __future__ import annotations

from typing import Any

import attrs
from tests.engine import sweep_lab as lab
from tests.engine.sweep_lab import Act

from wherry.model.commits import CommitSpec
from wherry.model.configs import Resources
from wherry.model.execs import ExecSpec
from wherry.model.networks import EndpointSpec, NetworkSpec
from wherry.model.volumes import VolumeSpec
from wherry_engine.engine.engine import Engine
from wherry_engine.engine.filters import Filters

OURS = {"label": ("extra=more",)}  # what is pruned: not what all pairs need


@attrs.frozen
class Pair:
    """Two operations on what `prepare` made. A step of the first may fail.

    `joined`: the second may succeed by finding that the first has done its work, or has been given up for it.
    """

    first: Act
    second: Act
    prepare: Act = lab.nothing
    failing: str = ""
    joined: bool = False


def create(name: str = "one", **host: Any) -> Act:
    async def act(engine: Engine) -> None:
        await engine.containers.create(lab.spec(name, **host))

    return act


def running(**host: Any) -> Act:
    async def act(engine: Engine) -> None:
        await lab.run(engine, "one", **host)

    return act


async def early(engine: Engine) -> None:
    await engine.networks.create(NetworkSpec(name="early", labels={"extra": "more"}))


async def in_early(engine: Engine) -> None:
    """A container in a network of its own."""
    await early(engine)
    await create(network_mode="early")(engine)


async def runs_beside_early(engine: Engine) -> None:
    await early(engine)
    await lab.run(engine, "one")


async def with_data(engine: Engine) -> None:
    await engine.volumes.create(VolumeSpec(name="data", labels={"extra": "more"}))


async def saved_and_here(engine: Engine) -> None:
    await lab.keep_saved(engine)
    await lab.reload(engine)


async def fresh(engine: Engine) -> None:
    await lab.load(engine, "fresh", "more")


async def execute(engine: Engine) -> None:
    id = engine.execs.create("one", ExecSpec(command=("true",)))
    (await engine.execs.start(id)).release()


async def prune_images(engine: Engine) -> None:
    await engine.images.prune(Filters({"dangling": ("false",), **OURS}))


async def of_fresh(engine: Engine) -> None:
    spec = lab.spec("one")
    await engine.containers.create(attrs.evolve(spec, config=attrs.evolve(spec.config, image="fresh")))


async def one_of_fresh(engine: Engine) -> None:
    await fresh(engine)
    await of_fresh(engine)


async def one_of_saved(engine: Engine) -> None:
    await saved_and_here(engine)
    await of_fresh(engine)


async def one_of_former(engine: Engine) -> None:
    """The image of a container was removed by force, and loaded again."""
    await one_of_saved(engine)
    await forced(engine)
    await lab.reload(engine)


async def commit_other(engine: Engine) -> None:
    await engine.commit("one", CommitSpec(repository="other"))


async def forced(engine: Engine) -> None:
    await engine.images.remove("fresh", force=True)


def remove(*, force: bool = True) -> Act:
    return lambda e: e.containers.remove("one", force=force, volumes=True)


def connect(network: str) -> Act:
    return lambda e: e.memberships.connect(network, "one", EndpointSpec())


def volume(name: str) -> Act:
    return lambda e: e.volumes.create(VolumeSpec(name=name))


DATA = ("data:/seed",)
ALL = Filters({"all": ("true",), **OURS})
CREATE = create(binds=DATA)
UNMOUNT = "container.create.unmount"

PAIRS: dict[str, Pair] = {
    "create, its volume is removed": Pair(CREATE, lambda e: e.volumes.remove("data"), with_data),
    "create, volumes are pruned": Pair(CREATE, lambda e: e.volumes.prune(ALL), with_data),
    "create fails, its volume is asked for": Pair(CREATE, volume("data"), failing=UNMOUNT),
    "create fails, another wants its volume": Pair(CREATE, create("two", binds=DATA), failing=UNMOUNT),
    "create, the same name": Pair(CREATE, create(binds=("other:/seed",))),
    "create, its network is removed": Pair(
        create(network_mode="early"), lambda e: e.networks.remove("early"), early
    ),
    "create, its image is removed": Pair(of_fresh, lambda e: e.images.remove("fresh"), fresh),
    "create, its image is removed by force": Pair(of_fresh, forced, fresh),
    "start, its image is removed by force": Pair(lambda e: e.containers.start("one"), forced, one_of_fresh),
    "image removed by force, its container started": Pair(forced, lambda e: e.containers.start("one"), one_of_fresh),
    "image removed by force, its container removed": Pair(forced, remove(), one_of_fresh),
    "image removed by force, its container committed": Pair(forced, commit_other, one_of_fresh),
    "image removed by force, loaded": Pair(forced, lab.reload, one_of_saved),
    "remove, its image is removed by force": Pair(remove(), forced, one_of_fresh),
    "remove, its image is removed by force once more": Pair(remove(), forced, one_of_former),
    "create, images are pruned": Pair(of_fresh, prune_images, fresh),
    "start, its network is removed": Pair(lambda e: e.containers.start("one"), lambda e: e.networks.remove("early"), in_early),
    "start, networks are pruned": Pair(lambda e: e.containers.start("one"), lambda e: e.networks.prune(Filters(OURS)), in_early),
    "start, removed": Pair(lambda e: e.containers.start("one"), remove(), create()),
    "start, stopped": Pair(lambda e: e.containers.start("one"), lambda e: e.containers.stop("one"), create(), joined=True),
    "start, killed": Pair(lambda e: e.containers.start("one"), lambda e: e.containers.kill("one"), create()),
    "start, renamed": Pair(lambda e: e.containers.start("one"), lambda e: e.containers.rename("one", "two"), create()),
    "start, pruned": Pair(lambda e: e.containers.start("one"), lambda e: e.containers.prune(Filters()), create()),
    "start, connected": Pair(
        lambda e: e.containers.start("one"), connect("early"),
        lambda e: _created_beside_early(e),
    ),
    "start, updated": Pair(
        lambda e: e.containers.start("one"), lambda e: e.containers.update("one", Resources(pids_limit=50)), create()
    ),
    "connect, the network is removed": Pair(connect("early"), lambda e: e.networks.remove("early"), runs_beside_early),
    "connect, the container is removed": Pair(connect("early"), remove(), runs_beside_early),
    "connect, stopped": Pair(connect("early"), lambda e: e.containers.stop("one"), runs_beside_early),
    "disconnect, the network is removed": Pair(
        lambda e: e.memberships.disconnect("early", "one", False), lambda e: e.networks.remove("early"), lab.on_two_networks
    ),
    "stop, started": Pair(lambda e: e.containers.stop("one"), lambda e: e.containers.start("one"), running()),
    "stop, removed": Pair(lambda e: e.containers.stop("one"), remove(), running()),
    "remove, removed": Pair(remove(), remove(), running(), joined=True),
    "remove, started": Pair(remove(), lambda e: e.containers.start("one"), create()),
    "remove, connected": Pair(remove(), connect("early"), runs_beside_early),
    "remove, committed": Pair(remove(), lab.commit, lab.changed_running),
    "remove, copied into": Pair(remove(), lab.copy_in, create()),
    "remove, created again": Pair(remove(), create(), create()),
    "remove, executed in": Pair(remove(), execute, running()),
    "commit, removed": Pair(lab.commit, remove(), lab.changed_running),
    "commit, killed": Pair(lab.commit, lambda e: e.containers.kill("one"), lab.changed_running),
    "copy in, removed": Pair(lab.copy_in, remove(), create()),
    "copy in, started": Pair(lab.copy_in, lambda e: e.containers.start("one"), create()),
    "load, the image is removed": Pair(lab.reload, lambda e: e.images.remove("fresh"), saved_and_here),
    "load, images are pruned": Pair(lab.reload, prune_images, saved_and_here),
    "load, loaded": Pair(lab.reload, lab.reload, lab.keep_saved),
    "load fails, loaded": Pair(lab.reload, lab.reload, lab.keep_saved, failing="image.load.clean"),
    "image removed, loaded": Pair(lambda e: e.images.remove("fresh"), lab.reload, saved_and_here),
    "image removed, tagged": Pair(lambda e: e.images.remove("fresh"), lambda e: e.images.tag("fresh", "other"), fresh),
    "image removed, its name given away": Pair(
        lambda e: e.images.remove("fresh"), lambda e: e.images.tag("base", "fresh"), fresh
    ),
    "image removed, container created": Pair(lambda e: e.images.remove("fresh"), of_fresh, fresh),
    "image tagged, removed": Pair(lambda e: e.images.tag("fresh", "other"), lambda e: e.images.remove("fresh"), fresh),
    "images pruned, tagged": Pair(prune_images, lambda e: e.images.tag("fresh", "other"), fresh),
    "volume removed, asked for": Pair(lambda e: e.volumes.remove("data"), volume("data"), with_data),
    "volume removed, container created": Pair(lambda e: e.volumes.remove("data"), CREATE, with_data),
    "volume created, container created": Pair(volume("data"), CREATE),
    "network created, the same name": Pair(
        early, early
    ),
    "network removed, connected": Pair(lambda e: e.networks.remove("early"), connect("early"), runs_beside_early),
    "network removed, started": Pair(lambda e: e.networks.remove("early"), lambda e: e.containers.start("one"), in_early),
    "network removed, removed": Pair(
        lambda e: e.networks.remove("early"), lambda e: e.networks.remove("early"), early
    ),
    "network removed, created again": Pair(
        lambda e: e.networks.remove("early"), early,
        early,
    ),
    "rename, the name is taken": Pair(lambda e: e.containers.rename("one", "two"), create("two"), create()),
    "rename, removed": Pair(lambda e: e.containers.rename("one", "two"), remove(), running(), joined=True),
}  # fmt: skip


async def _created_beside_early(engine: Engine) -> None:
    await early(engine)
    await create()(engine)
