"""Execs in the process tree: exact exit codes whoever dies, no program twice, and nothing left."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress

import pytest
from tests.process.exec_kit import Execs, Started
from tests.process.process_kit import Scenario, Tree, runtime, until

from wherry.errors import Conflict, Failed, NotFound, Unavailable
from wherry_engine.monitor.cgroups import Hierarchies, processes

pytestmark = pytest.mark.root
RUNTIMES = ("crun", "runc")
ON_TERM = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"


async def ready(started: Started) -> Started:
    """One that has said that its trap is set."""
    assert await asyncio.to_thread(os.read, started.stdout, 6) == b"ready\n"
    return started


def inside(tree: Tree, id: str) -> set[int]:
    """The processes in a container's cgroups."""
    return processes(Hierarchies().named(f"/{tree.group}/{id}"))


def reap(pid: int) -> None:
    """Do as the host's init, which those without any parent of ours go to; a zombie would keep its container from ending."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


async def heard(tree: Tree) -> None:
    """The supervisor, whom the monitor has told, holds the container and no exec any more."""
    late = time.monotonic() + 5
    while list((await tree.status())["held"]) != ["one"]:
        assert time.monotonic() < late


@pytest.mark.parametrize("name", RUNTIMES)
def test_exit_codes_are_exact_and_the_pipes_are_the_processes_own(scenario: Scenario, name: str) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime, execs = runtime(name), Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        for command, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)):
            started = await execs.start("one", command)
            assert await execs.status(started) == code
            started.close()
        started = await execs.start("one", ["/bin/cat"])
        os.write(started.stdin, b"through")
        os.close(started.stdin)
        assert await asyncio.to_thread(started.output) == b"through"
        os.close(started.stdout)
        assert await execs.status(started) == 0
        started = await execs.start("one", "ls /proc/self/fd/; grep -E 'Sig(Ign|Blk)' /proc/self/status")
        lines = (await asyncio.to_thread(started.output)).decode().split("\n")
        assert lines[:3] == ["0", "1", "2"]
        assert lines[3] == "3"  # the folder that ls reads
        assert await execs.status(started) == 0
        started.close()
        for id in tuple(execs.ends):
            await tree.processes.execs.forget(id)
        await heard(tree)
        assert os.listdir(tree.run_root / "work") == []

    scenario(body)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_program_that_cannot_begin_is_told_and_leaves_nothing(scenario: Scenario, name: str) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime, execs = runtime(name), Execs(tree)
        pid = await tree.run("one", ["/bin/sleep", "60"])
        for args, text in ((["nosuch"], "not found"), (["/nosuch"], "no such file"), (["/bin/refused"], "permission")):
            with pytest.raises(Failed) as failed:
                await execs.start("one", args)
            assert text in failed.value.text.lower()
        with pytest.raises(NotFound):
            await execs.start("nobody", ["/bin/true"])
        await heard(tree)
        assert os.listdir(tree.run_root / "work") == []
        late = time.monotonic() + 5
        while inside(tree, "one") != {pid} and time.monotonic() < late:  # the kernel takes its time to end a killed one
            await asyncio.sleep(0.01)
        assert inside(tree, "one") == {pid}
        await tree.processes.kill("one", signal.SIGKILL)
        await tree.ended("one")
        with pytest.raises(Conflict):
            await execs.start("one", ["/bin/true"])

    scenario(body)


def test_a_terminal_comes_by_its_console(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        execs = Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        id, terminal = await execs.on_terminal("one", "echo on a terminal; exit 4")
        assert await asyncio.to_thread(os.read, terminal, 100) == b"on a terminal\r\n"
        await until(lambda: id in execs.ends)
        assert execs.ends[id].status == 4
        os.close(terminal)

    scenario(body)


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_exit_code_outlives_monitors_and_supervisors(scenario: Scenario, name: str) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime, execs = runtime(name), Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        running = [await ready(await execs.start("one", ON_TERM)) for _ in range(4)]
        await tree.kill_monitor()
        os.kill(running[0].pid, signal.SIGTERM)
        assert await execs.status(running[0]) == 7
        await tree.kill_supervisor()
        os.kill(running[1].pid, signal.SIGTERM)
        assert await execs.status(running[1]) == 7
        await tree.kill_monitor()
        os.kill(running[2].pid, signal.SIGKILL)
        assert await execs.status(running[2]) == 137
        status = await tree.status()
        os.kill(status["pid"], signal.SIGSTOP)
        os.kill(status["monitor"], signal.SIGKILL)
        os.kill(running[3].pid, signal.SIGTERM)  # nobody sees it end
        await asyncio.sleep(0.2)
        os.kill(status["pid"], signal.SIGCONT)
        assert await execs.status(running[3]) == 7
        late = await execs.start("one", "exit 5")
        assert await execs.status(late) == 5
        for each in (*running, late):
            each.close()
            reap(each.pid)

    scenario(body)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_start_whose_monitor_dies_is_finished_or_has_failed_and_runs_nothing_twice(
    scenario: Scenario, name: str
) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime, execs = runtime(name), Execs(tree)
        pid = await tree.run("one", ["/bin/sleep", "60"])
        for number in range(12):
            starting = asyncio.ensure_future(execs.start("one", "echo once; exec /bin/sleep 60"))
            await asyncio.sleep(number * (0.0008 if name == "crun" else 0.004))
            await tree.strike_monitor()
            try:
                started = await starting
            except Unavailable:
                await until(lambda: inside(tree, "one") == {pid}, 5)
            else:
                assert await asyncio.to_thread(os.read, started.stdout, 100) == b"once\n"
                os.kill(started.pid, signal.SIGKILL)
                assert await execs.status(started) == 137
                assert await asyncio.to_thread(started.output) == b""
                started.close()
            assert inside(tree, "one") == {pid}
            await tree.processes.list()
        assert os.listdir(tree.run_root / "work") == []

    scenario(body)


def test_a_start_goes_on_while_the_supervisor_dies(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        execs = Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        for number in range(6):
            starting = asyncio.ensure_future(execs.start("one", f"echo once; exit {number}"))
            await asyncio.sleep(number * 0.001)
            os.kill((await tree.status())["pid"], signal.SIGKILL)
            started = await starting
            assert await execs.status(started) == number
            assert await asyncio.to_thread(started.output) == b"once\n"
            started.close()
            await tree.processes.list()

    scenario(body)


def test_when_both_are_killed_the_end_is_told_as_unknown(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        execs = Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        started = await execs.start("one", ["/bin/sleep", "60"])
        status = await tree.status()
        for who in ("monitor", "pid"):
            os.kill(status[who], signal.SIGSTOP)
        for who in ("monitor", "pid"):
            os.kill(status[who], signal.SIGKILL)
        assert await execs.status(started) == 255
        assert execs.ends[started.id].error
        started.close()
        await tree.ended("one")
        await tree.processes.delete("one", tree.runtime)

    scenario(body)


def test_execs_end_with_their_container_and_are_forgotten_with_it(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        execs = Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        started = [await execs.start("one", ["/bin/sleep", "60"]) for _ in range(3)]
        await tree.processes.kill("one", signal.SIGKILL)
        await tree.ended("one")
        await tree.processes.delete("one", tree.runtime)
        for each in started:
            assert await execs.status(each) == 137
            each.close()
        await tree.processes.list()
        assert (await tree.status())["held"] == {}
        assert inside(tree, "one") == set()

    scenario(body)


def test_a_new_engine_finds_what_runs_and_hears_of_its_end(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        execs = Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        ended = await execs.start("one", "exit 3")
        assert await execs.status(ended) == 3
        started = await ready(await execs.start("one", ON_TERM))
        await tree.processes.close()
        await tree.connect()
        execs.watch()
        found = {info.id: (info.pid, info.status, info.about) for info in tree.processes.execs.found}
        assert found == {
            ended.id: (ended.pid, 3, {"said": "here"}),
            started.id: (started.pid, None, {"said": "here"}),
        }
        os.kill(started.pid, signal.SIGTERM)
        assert await execs.status(started) == 7
        for each in (ended, started):
            each.close()

    scenario(body)


def test_many_execs_leave_no_descriptor_and_no_process(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        execs = Execs(tree)
        await tree.run("one", ["/bin/sleep", "60"])
        status = await tree.status()

        async def cycle() -> None:
            started = await execs.start("one", ["/bin/true"])
            assert await execs.status(started) == 0
            await tree.processes.execs.forget(started.id)
            started.close()

        await cycle()
        before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (status["pid"], status["monitor"], os.getpid())]
        for _ in range(60):
            await cycle()
        await tree.processes.list()
        after = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (status["pid"], status["monitor"], os.getpid())]
        assert after == before
        await heard(tree)

    scenario(body)
