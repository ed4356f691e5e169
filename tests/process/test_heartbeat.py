"""A monitor that is stopped is replaced as if it were dead; one whose disk hangs, or whose host is busy, is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from tests.process.process_kit import Scenario, Tree, until
from tests.process.upgrade_kit import change, copied, upgraded, versions

from wherry.model.runtimes import Runtime
from wherry_engine.engine.process_upgrade import TreeCode
from wherry_engine.supervisor import heartbeat

pytestmark = pytest.mark.root


def beating(folder: Path, interval: float) -> TreeCode:
    """Code with another interval, and so with another deadline."""
    code = copied(folder, f"beats every {interval} s")
    change(
        folder, "wherry_engine/supervisor/heartbeat.py", f"INTERVAL = {heartbeat.INTERVAL}", f"INTERVAL = {interval}"
    )
    return code


async def monitor_of(tree: Tree) -> int:
    """The pid of the monitor."""
    return int((await tree.status())["monitor"])


def test_the_deadline_is_ten_seconds() -> None:
    assert heartbeat.INTERVAL * (heartbeat.MISSES + 1) == 10


@pytest.mark.parametrize("number", range(2))
def test_a_stopped_monitor_is_replaced(number: int, scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await upgraded(tree, beating(tmp_path / "quick", 0.2))
        if number:  # not the monitor that an upgrade has kept, but its successor
            await tree.kill_monitor()
        await tree.run("term", "trap 'echo bye; exit 7' TERM; while :; do sleep 0.02; done")
        before = await tree.status()
        began = time.monotonic()
        os.kill(before["monitor"], signal.SIGSTOP)
        await tree.processes.kill("term", signal.SIGTERM)
        assert (await tree.ended("term")).status == 7
        assert time.monotonic() - began > 0.6
        assert tree.text("term") == "bye\n"
        after = await tree.status()
        assert after["pid"] == before["pid"]
        assert after["monitor"] != before["monitor"]
        assert "does not answer" in (tree.run_root / "processes.log").read_text()

    scenario(body)


def test_a_supervisor_that_stood_still_blames_nobody(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await upgraded(tree, beating(tmp_path / "quick", 0.3))
        before = await tree.status()
        for _ in range(3):
            for who in ("pid", "monitor"):
                os.kill(before[who], signal.SIGSTOP)
            await asyncio.sleep(2)
            for who in ("pid", "monitor"):
                os.kill(before[who], signal.SIGCONT)
            await asyncio.sleep(0.1)
        assert await monitor_of(tree) == before["monitor"]

    scenario(body)


def test_a_monitor_whose_disk_hangs_goes_on(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await upgraded(tree, beating(tmp_path / "quick", 0.3))
        os.mkfifo(tree.log("hangs"))
        reader = os.open(tree.log("hangs"), os.O_RDONLY | os.O_NONBLOCK)
        await tree.run("hangs", "seq 1 100000; trap 'exit 6' TERM; while :; do sleep 0.02; done")
        before = await monitor_of(tree)
        await asyncio.sleep(3)
        assert await monitor_of(tree) == before
        await tree.run("other", "exit 5")
        await asyncio.sleep(0.5)
        draining = asyncio.ensure_future(drain(reader))
        assert (await tree.ended("other")).status == 5
        await tree.processes.kill("hangs", signal.SIGTERM)
        assert (await tree.ended("hangs")).status == 6
        assert await monitor_of(tree) == before
        draining.cancel()
        os.close(reader)

    scenario(body)


def test_a_monitor_under_load_is_left_alone(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await upgraded(tree, beating(tmp_path / "quick", 0.5))
        for number in range(4):
            await tree.run(f"loud{number}", "yes loud")
        before = await monitor_of(tree)
        await asyncio.sleep(4)
        assert await monitor_of(tree) == before

    scenario(body)


def test_a_monitor_whose_upgrade_waits_for_a_runtime_is_left_alone(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await upgraded(tree, beating(tmp_path / "quick", 0.4))  # the deadline is 2 s, the wait up to 5 s
        wrapper = tmp_path / "slow" / "crun"
        wrapper.parent.mkdir()
        wrapper.write_text("#!/bin/busybox sh\ntouch $0.begun; /bin/busybox sleep 4; exec crun $@\n")
        wrapper.chmod(0o755)
        slow = Runtime((str(wrapper),), "", hide_unified_cgroup=tree.runtime.hide_unified_cgroup)
        before = await monitor_of(tree)
        creation = asyncio.ensure_future(tree.processes.create(tree.launch("slow", "exit 3", runtime=slow)))
        await until(Path(f"{wrapper}.begun").exists)
        newer = beating(tmp_path / "newer", 0.3)
        await upgraded(tree, newer)
        await creation
        assert await versions(tree) == (newer.digest, newer.digest)
        assert await monitor_of(tree) == before
        await tree.processes.start("slow")
        assert (await tree.ended("slow")).status == 3

    scenario(body)


async def drain(fd: int) -> None:
    """Read whatever there is."""
    while True:
        try:
            while os.read(fd, 1 << 16):
                pass
        except BlockingIOError:
            pass
        await asyncio.sleep(0.002)
