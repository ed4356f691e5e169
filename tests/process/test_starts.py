"""Starting a created container while its monitor dies: its program runs, and runs once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.failpoint_kit import fired
from tests.process.process_kit import Scenario, Tree, runtime, tree

from wherry.errors import WherryError
from wherry_engine.engine.process_upgrade import TreeCode

pytestmark = pytest.mark.root


@contextlib.contextmanager
def starved(pid: int) -> Iterator[None]:
    """The process is the last to get the one CPU that it may use, so that whoever wakes it has died before it runs."""
    cpu = min(os.sched_getaffinity(0))
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setscheduler(int(task), os.SCHED_IDLE, os.sched_param(0))
        os.sched_setaffinity(int(task), {cpu})
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        os.sched_setaffinity(busy.pid, {cpu})
        os.sched_setscheduler(busy.pid, os.SCHED_OTHER, os.sched_param(0))
        try:
            yield
        finally:
            busy.kill()


@pytest.mark.parametrize("step", ["stop", "open", "keep", "go", "served"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_program_runs_once_though_the_monitor_dies_before_its_process_has_woken(
    step: str, place: str, tmp_path: Path, rootfs: Path, told: TreeCode
) -> None:
    async def body() -> None:
        async with tree(tmp_path, rootfs, failpoints=f"monitor.start.{step}=kill@{place}", code=told) as fresh:
            fresh.runtime = runtime("runc")
            pid = await fresh.processes.create(fresh.launch("one", "echo once; exit 3"))
            with starved(pid):
                starting = asyncio.ensure_future(fresh.processes.start("one"))
                await asyncio.sleep(0.5)
            await starting
            assert (await fresh.ended("one")).status == 3
            assert fresh.text("one") == "once\n"
            assert fired(fresh) == [f"monitor.start.{step}"]

    asyncio.run(body())


def test_a_start_whose_container_is_removed_never_starts_the_next_of_that_name(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime = runtime("runc")
        await tree.processes.create(tree.launch("one", "echo once; exit 3"))
        fifo = tree.run_root / "runtime" / "runc" / "one" / "exec.fifo"
        fifo.unlink()
        os.mkfifo(fifo)  # at which nobody writes
        starting = asyncio.ensure_future(tree.processes.start("one"))
        await asyncio.sleep(0.2)
        await tree.processes.delete("one", tree.runtime)
        tree.exits.clear()
        await tree.processes.create(tree.launch("one", "echo once; exit 3"))
        with pytest.raises(WherryError):
            await starting
        await asyncio.sleep(0.3)
        assert not tree.log("one").exists() or tree.text("one") == ""
        await tree.processes.start("one")
        assert (await tree.ended("one")).status == 3
        assert tree.text("one") == "once\n"

    scenario(body)
