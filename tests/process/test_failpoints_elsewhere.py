"""The steps that no plain life of a container passes: each fails once and kills once, and nothing is left by it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
from tests.process import job_scenes
from tests.process.failpoint_kit import assert_clean, fired
from tests.process.process_kit import Tree, runtime, tree, until
from tests.process.test_failpoints import STEPS, UPGRADES, delete
from tests.process.test_services import STEPS as OF_SERVICES
from tests.process.upgrade_kit import upgraded

from wherry.errors import Unavailable, WherryError
from wherry.model.runtimes import Runtime
from wherry.testing import steps
from wherry.testing.ledger import become_subreaper, reap_orphans
from wherry_engine.engine import process_link
from wherry_engine.engine.process_upgrade import TreeCode

pytestmark = pytest.mark.root


async def create_that_is_undone(tree: Tree) -> None:
    """A take-over that fails where its own failpoint is armed; the runtime removes what it has made."""
    try:
        await tree.run("undone", "exit 3")
        assert (await tree.ended("undone")).status == 3
    finally:
        await tree.processes.delete("undone", tree.runtime)


async def another_runtime(tree: Tree) -> None:
    """A runtime of which nothing is known but its command line."""
    link = tree.root / "other"
    if not link.exists():
        link.symlink_to(shutil.which("crun") or "")
    other = Runtime((str(link),), "", hide_unified_cgroup=runtime("crun").hide_unified_cgroup)
    try:
        await tree.run("other", "exit 3", runtime=other)
        assert (await tree.ended("other")).status == 3
    finally:
        await delete(tree, "other", other)


async def survivor_in_the_group(tree: Tree) -> None:
    """Without a pid namespace a process outlives the container's first one, and holds its output."""
    launch = tree.launch("leaves", "sleep 600 & exit 3")
    config = json.loads((launch.bundle / "config.json").read_text())
    config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] != "pid"]
    (launch.bundle / "config.json").write_text(json.dumps(config))
    try:
        await tree.processes.create(launch)
        await tree.processes.start("leaves")
        await asyncio.sleep(0.2)
    finally:
        await delete(tree, "leaves")


async def torn_log(tree: Tree) -> None:
    """A lost host has torn the last record."""
    tree.log("torn").write_text('{"log":"whole\\n"}\n{"log":"to')
    try:
        await tree.run("torn", "echo next; exit 3")
        assert (await tree.ended("torn")).status == 3
    finally:
        await tree.processes.delete("torn", tree.runtime)


async def job_that_is_late(tree: Tree) -> None:
    read, write = os.pipe()
    try:
        given = {"root": str(tree.root), "whiteouts": "overlay"}
        with pytest.raises(Unavailable, match="took longer"):
            await tree.processes.job("extract_layer", given, (read,), deadline=0.1)
    finally:
        os.close(read)
        os.close(write)


async def runtime_at_work(tree: Tree) -> None:
    """The monitor dies while a runtime works for it, which takes its time."""
    slow = tree.root / "slow" / "crun"
    slow.parent.mkdir(exist_ok=True)
    slow.write_text(
        "#!/bin/busybox sh\n[ -e $0.quick ] || { echo $$ > $0.quick; exec /bin/busybox sleep 600; }\nexec crun $@\n"
    )
    slow.chmod(0o755)
    crawling = Runtime((str(slow),), "", hide_unified_cgroup=runtime("crun").hide_unified_cgroup)
    creation = asyncio.ensure_future(tree.processes.create(tree.launch("half", "exit 3", runtime=crawling)))
    quick = Path(f"{slow}.quick")
    await until(lambda: quick.exists() and quick.read_text() != "")
    await tree.strike_monitor()
    try:
        await creation
        await tree.processes.start("half")
        assert (await tree.ended("half")).status == 3
    finally:
        await delete(tree, "half", crawling)
        pid = int(quick.read_text())
        if alive(pid) and b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)  # of a supervisor that has died over it


async def stopped_monitor(tree: Tree) -> None:
    status = await tree.status()
    os.kill(status["monitor"], signal.SIGSTOP)
    while alive(status["monitor"]) and alive(status["pid"]):
        await asyncio.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(status["monitor"], signal.SIGCONT)  # two faults at a time are too much: someone has to help
    await tree.processes.list()
    after = await tree.status()
    assert (after["pid"], after["monitor"]) != (status["pid"], status["monitor"])


def alive(pid: int) -> bool:
    """Whether the process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@attrs.frozen
class Scene:
    """What reaches a step. `also` arms another failpoint that leads there."""

    play: Callable[[Tree], Awaitable[None]]
    also: str = ""


SCENES = {
    "monitor.create.undo.spawn": Scene(create_that_is_undone, "monitor.create.pid=error@before"),
    "monitor.start.spawn": Scene(another_runtime),
    "monitor.delete.spawn": Scene(another_runtime),
    "monitor.delete.kill": Scene(survivor_in_the_group),
    "monitor.log.shorten": Scene(torn_log),
    "supervisor.job.kill": Scene(job_that_is_late),
    "supervisor.stray.kill": Scene(runtime_at_work),
    "supervisor.monitor.kill": Scene(stopped_monitor),
    "helper.copy_up.copy": Scene(job_scenes.copy_up),
    "helper.extract_layer.extract": Scene(job_scenes.layer),
    "helper.extract_layer.sync": Scene(job_scenes.layer),
    "helper.join_layer.write": Scene(job_scenes.layer),
    "helper.view": Scene(job_scenes.files_of_a_container),
    "helper.archive.put": Scene(job_scenes.files_of_a_container),
    "helper.archive.get": Scene(job_scenes.files_of_a_container),
    "helper.archive.export": Scene(job_scenes.files_of_a_container),
    "helper.archive.layer": Scene(job_scenes.files_of_a_container),
    "helper.ps": Scene(job_scenes.listing),
    "helper.mount": Scene(job_scenes.mount),
}
AT_THE_BEGINNING = ("supervisor.prepare", "supervisor.monitor.fork")
AT_THE_END = ("supervisor.monitor.kill", "supervisor.service.end", "supervisor.end")
ACTIONS = ["error@before", "error@after", "kill@before", "kill@after"]


def test_every_step_of_the_small_processes_is_swept() -> None:
    declared = {name for name in steps.declared() if name.startswith(("monitor.", "supervisor.", "helper."))}
    assert declared == {*STEPS, *UPGRADES, *OF_SERVICES, *SCENES, *AT_THE_BEGINNING, *AT_THE_END}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", SCENES)
def test_a_step_that_fails_leaves_nothing(
    name: str, action: str, tmp_path: Path, rootfs: Path, told: TreeCode, told_again: TreeCode
) -> None:
    become_subreaper()
    scene = SCENES[name]

    async def body() -> None:
        failpoints = ",".join(filter(None, (f"{name}={action}", scene.also)))
        async with tree(tmp_path, rootfs, failpoints=failpoints, code=told) as fresh:
            with contextlib.suppress(WherryError):
                await scene.play(fresh)
            assert name in fired(fresh)
            reap_orphans()
            await until_clean(fresh)
            fresh.exits.clear()
            fresh.environment["WHERRY_FAILPOINTS"] = ""
            await upgraded(fresh, told_again)
            await scene.play(fresh)
            reap_orphans()

    asyncio.run(body())


async def until_clean(tree: Tree) -> None:
    """Nothing is left; a supervisor that has died over its monitor may need a moment."""
    for attempt in range(20):
        try:
            await assert_clean(tree)
            return
        except AssertionError:
            if attempt == 19:
                raise
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", AT_THE_BEGINNING)
def test_a_tree_that_cannot_begin_is_begun_by_the_next_engine(
    name: str, action: str, tmp_path: Path, rootfs: Path, told: TreeCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_link, "_PATIENCE", 1.0)
    become_subreaper()

    async def body() -> None:
        fresh = Tree(tmp_path, rootfs, f"{name}={action}")
        fresh.code = told
        with contextlib.suppress(Unavailable, TimeoutError):
            await fresh.connect()
            await fresh.processes.close()
        assert name in fired(fresh)
        reap_orphans()
        (fresh.run_root / "processes.log").unlink(missing_ok=True)
        monkeypatch.setattr(process_link, "_PATIENCE", 10.0)
        fresh.environment["WHERRY_FAILPOINTS"] = ""
        async with tree(tmp_path, rootfs, code=told) as second:
            await second.run("one", "exit 3")
            assert (await second.ended("one")).status == 3

    asyncio.run(body())


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", AT_THE_END)
def test_a_tree_that_ends_badly_is_ended_by_the_next_engine(
    name: str, action: str, tmp_path: Path, rootfs: Path, told: TreeCode
) -> None:
    become_subreaper()

    async def body() -> None:
        fresh = Tree(tmp_path, rootfs, f"{name}={action}")
        fresh.code = told
        await fresh.connect()
        with contextlib.suppress(WherryError):
            await fresh.processes.shutdown()
        assert fired(fresh) == [name]
        await fresh.processes.close()
        reap_orphans()
        (fresh.run_root / "processes.log").unlink(missing_ok=True)
        async with tree(tmp_path, rootfs):
            pass
        assert os.listdir(fresh.run_root) in ([], ["processes.log"])
        assert not fresh._left()

    asyncio.run(body())
