"""Lives of containers in the process tree: creation, exits, signals, removal, on real runtimes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import attrs
import pytest
from tests.process.process_kit import NO_LOG, Scenario, Tree, runtime, until

from wherry.errors import Conflict, Failed, NotFound
from wherry.linux import cgroups

pytestmark = pytest.mark.root
RUNTIMES = ("crun", "runc")
WAITS = "trap 'exit 9' USR1; while :; do sleep 0.02; done"


@pytest.mark.parametrize("name", RUNTIMES)
def test_exit_statuses_are_exact(scenario: Scenario, name: str) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime = runtime(name)
        await tree.run("zero", ["/bin/true"])
        await tree.run("seven", "exit 7")
        await tree.run("killed", ["/bin/sleep", "60"])
        await tree.processes.kill("killed", signal.SIGKILL)
        await tree.run("terminated", "trap 'exit 143' TERM; echo ready; while :; do sleep 0.02; done")
        await until(lambda: tree.log("terminated").exists() and tree.log("terminated").stat().st_size > 0)
        await tree.processes.kill("terminated", signal.SIGTERM)
        statuses = {id: (await tree.ended(id)).status for id in ("zero", "seven", "killed", "terminated")}
        assert statuses == {"zero": 0, "seven": 7, "killed": 137, "terminated": 143}
        for id in statuses:
            await tree.processes.delete(id, tree.runtime)
            assert not (tree.run_root / "runtime" / name / id).exists()

    scenario(body)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_missing_executable_is_told_in_the_runtimes_words(scenario: Scenario, name: str) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime = runtime(name)
        with pytest.raises(Failed) as missing:
            await tree.processes.create(tree.launch("missing", ["no-such-program"]))
        assert "not found in $PATH" in missing.value.text
        with pytest.raises(Failed) as absent:
            await tree.processes.create(tree.launch("absent", ["/no/such/program"]))
        assert "no such file or directory" in absent.value.text.lower()
        with pytest.raises(Failed) as refused:
            await tree.processes.create(tree.launch("refused", ["/bin/refused"]))
        assert "permission denied" in refused.value.text.lower()
        assert await tree.processes.list() == []
        assert list((tree.run_root / "runtime" / name).iterdir()) == []
        assert (await tree.status())["held"] == {}

    scenario(body)


def test_a_container_that_ran_into_its_memory_limit_is_told_so(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("greedy", "dd if=/dev/zero of=/dev/null bs=200M count=1; exit 5")
        exit = await tree.ended("greedy")
        assert exit.oom_killed
        await tree.run("modest", "exit 5")
        assert not (await tree.ended("modest")).oom_killed

    scenario(body)


def test_an_exit_is_in_its_file_before_it_is_told(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("seven", "exit 7")
        exit = await tree.ended("seven")
        file = tree.run_root / "exits" / "seven"
        assert json.loads(file.read_text())["status"] == 7
        (info,) = await tree.processes.list()
        assert info.exit == exit
        await tree.processes.delete("seven", tree.runtime)
        assert not file.exists()
        assert await tree.processes.list() == []

    scenario(body)


@pytest.mark.parametrize("name", RUNTIMES)
def test_removing_a_running_container_kills_it_and_may_be_repeated(scenario: Scenario, name: str) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime = runtime(name)
        pid = await tree.run("runs", WAITS)
        await asyncio.gather(*(tree.processes.delete("runs", tree.runtime) for _ in range(3)))
        assert not os.path.exists(f"/proc/{pid}")
        assert (await tree.ended("runs")).status == 137
        await tree.processes.delete("runs", tree.runtime)
        with pytest.raises(NotFound):
            await tree.processes.kill("runs", signal.SIGTERM)

    scenario(body)


def test_removing_a_container_interrupts_its_creation(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        creation = asyncio.ensure_future(tree.processes.create(tree.launch("early", WAITS)))
        await asyncio.sleep(0.001)
        await tree.processes.delete("early", tree.runtime)
        with pytest.raises(Failed):
            await creation
        assert await tree.processes.list() == []
        await tree.run("early", "exit 3")
        assert (await tree.ended("early")).status == 3

    scenario(body)


def test_a_process_that_its_killed_runtime_had_made_already_is_removed_too(scenario: Scenario, tmp_path: Path) -> None:
    """The runtime is killed after it has made the container's process, and before it has said so."""
    slow = tmp_path / "crun"
    slow.write_text(f'#!/bin/sh\n{" ".join(runtime("crun").argv)} "$@"\n: > {tmp_path}/made\nexec sleep 100\n')
    slow.chmod(0o755)

    async def body(tree: Tree) -> None:
        tree.runtime = attrs.evolve(tree.runtime, argv=(str(slow),))
        creation = asyncio.ensure_future(tree.processes.create(tree.launch("early", WAITS)))
        group = f"/{tree.group}/early"
        await until((tmp_path / "made").exists)
        assert cgroups.processes(group)
        await tree.processes.delete("early", tree.runtime)
        with pytest.raises(Failed):
            await creation
        assert cgroups.processes(group) == set()
        assert not cgroups.folder("pids", group).exists()

    scenario(body)


def test_the_same_operation_may_ask_again_and_another_is_refused(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        launch = tree.launch("one", WAITS)
        pids = await asyncio.gather(*(tree.processes.create(launch) for _ in range(3)))
        assert len(set(pids)) == 1
        assert await tree.processes.create(launch) == pids[0]
        with pytest.raises(Conflict):
            await tree.processes.create(tree.launch("one", WAITS))
        await tree.processes.start("one")
        await tree.processes.start("one")

    scenario(body)


def test_a_container_gets_nothing_of_ours(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("bare", ["/bin/cat", "/proc/self/status"])
        await tree.run("fds", ["/bin/ls", "/proc/self/fd"])
        await tree.ended("bare")
        await tree.ended("fds")
        fields = dict(line.split(":\t", 1) for line in tree.text("bare").splitlines() if ":\t" in line)
        ignored = int(fields["SigIgn"], 16) & ~(
            0b11 << 31
        )  # 32 and 33, the C library's own, are its posix_spawn's doing
        assert ignored == 0
        assert int(fields["SigBlk"], 16) == 0
        assert fields["Umask"] == "0022"
        assert tree.text("fds").split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads

    scenario(body)


def test_fifty_lives_leave_no_descriptor_behind(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        async def live(id: str) -> None:
            await tree.run(id, "exit 7", log=NO_LOG, tty=int(id) % 5 == 0, stdin=int(id) % 2 == 0)
            assert (await tree.ended(id)).status == 7
            await tree.processes.delete(id, tree.runtime)

        async def descriptors() -> list[int]:
            status = await tree.status()
            return [len(os.listdir(f"/proc/{status[who]}/fd")) for who in ("pid", "monitor")]

        for id in range(1, 6):
            await live(str(id))
        before = await descriptors()
        for id in range(6, 56, 2):
            await asyncio.gather(live(str(id)), live(str(id + 1)))
        await asyncio.sleep(0.05)
        assert await descriptors() == before

    scenario(body)


def test_a_new_engine_finds_what_runs_and_what_has_ended(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        pid = await tree.run("runs", WAITS)
        await tree.run("ended", "sleep 0.1; exit 4")
        await tree.processes.close()
        await until(lambda: (tree.run_root / "exits" / "ended").exists())
        await tree.connect()
        found = {info.id: info for info in await tree.processes.list()}
        assert found["runs"].pid == pid
        assert found["runs"].exit is None
        ended = found["ended"].exit
        assert ended is not None
        assert ended.status == 4
        assert tree.exits == {}
        await tree.processes.kill("runs", signal.SIGUSR1)
        assert (await tree.ended("runs")).status == 9

    scenario(body)


def test_warming_up_leaves_the_process_in_its_cgroups(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        with open("/proc/self/cgroup") as file:
            before = file.read()
        await asyncio.gather(tree.processes.warm_up(), tree.processes.warm_up())
        with open("/proc/self/cgroup") as file:
            assert file.read() == before

    scenario(body)
