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

from wherry.linux import steps
from wherry.linux.process import program_of
from wherry.model.runtimes import Runtime
from wherry_engine.engine import process_link, process_watch
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that gives up a supervisor after a second, and its own requests after three."""
    monkeypatch.setattr(process_watch, "INTERVAL", 0.2)
    monkeypatch.setattr(process_link, "_PATIENCE", 3.0)


def test_the_engines_deadline_for_a_supervisor_is_ten_seconds() -> None:
    assert process_watch.INTERVAL * process_watch.MISSES == 10


@pytest.mark.usefixtures("impatient")
def test_after_a_stopped_supervisor_its_monitor_goes_on(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("term", "trap 'echo bye; exit 7' TERM; while :; do sleep 0.02; done")
        before = await tree.status()
        os.kill(before["pid"], signal.SIGSTOP)
        await tree.run("other", "exit 5")  # which a supervisor must have understood
        assert (await tree.ended("other")).status == 5
        after = await tree.status()
        assert after["pid"] == before["monitor"]
        await tree.processes.kill("term", signal.SIGTERM)
        assert (await tree.ended("term")).status == 7
        assert tree.text("term") == "bye\n"

    scenario(body)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("both_stopped", [False, True])
def test_a_stopped_monitor_without_a_supervisor_is_replaced_and_its_exits_are_told_as_lost(
    both_stopped: bool, scenario: Scenario
) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("ended", "exit 4")
        await tree.ended("ended")
        pid = await tree.run("lost", ["/bin/sleep", "60"])
        before = await tree.status()
        os.kill(before["monitor"], signal.SIGSTOP)
        os.kill(before["pid"], signal.SIGSTOP if both_stopped else signal.SIGKILL)
        exit = await tree.ended("lost")
        assert (exit.status, bool(exit.error)) == (255, True)
        assert [(info.id, info.exit and info.exit.status) for info in await tree.processes.list()] == [("ended", 4)]
        await tree.processes.delete("lost", tree.runtime)
        await until(lambda: not program_of(pid))
        await tree.run("new", "exit 5")
        assert (await tree.ended("new")).status == 5
        after = await tree.status()
        assert not {before["pid"], before["monitor"]} & {after["pid"], after["monitor"]}

    scenario(body)


@pytest.mark.usefixtures("impatient")
def test_a_new_engine_does_not_wait_for_a_stopped_monitor_without_a_supervisor(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("lost", ["/bin/sleep", "60"])
        before = await tree.status()
        await tree.processes.close()
        os.kill(before["monitor"], signal.SIGSTOP)
        os.kill(before["pid"], signal.SIGKILL)
        processes = await tree.connect()
        assert await processes.list() == []  # so that the engine records the end of what it takes to run
        await tree.processes.delete("lost", tree.runtime)

    scenario(body)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("place", ["", "before", "after"])
def test_the_place_of_a_monitor_that_cannot_even_be_killed_is_taken(
    place: str, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an uninterruptible call, which nobody can make at will: here it is stopped, and the signal is kept from it."""
    monkeypatch.setattr(process_watch, "_kill", lambda pid, title: False)

    async def body(tree: Tree) -> None:
        await tree.run("lost", ["/bin/sleep", "60"])
        before = await tree.status()
        os.kill(before["monitor"], signal.SIGSTOP)
        os.kill(before["pid"], signal.SIGKILL)
        if place:
            steps.arm(f"processes.silent.disown=error@{place}")
        await until(lambda: not (tree.run_root / "supervisor.sock").exists())
        os.kill(before["monitor"], signal.SIGKILL)  # its clients notice; what it may still hold is closed
        assert (await tree.ended("lost")).status == 255
        await tree.processes.delete("lost", tree.runtime)
        await tree.run("new", "exit 5")
        assert (await tree.ended("new")).status == 5
        assert not steps._armed

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
