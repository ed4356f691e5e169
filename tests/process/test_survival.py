"""Any process of the tree may die: what containers, logs, exits, ports and requests lose by it is nothing."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
from pathlib import Path

import attrs
import pytest
from tests.process.process_kit import Scenario, Tree, attach, runtime, until

from wherry.errors import Conflict, Unavailable
from wherry.linux.process import program_of
from wherry.model.networks import PortMapping
from wherry.model.runtimes import Runtime
from wherry_engine.engine import process_link

pytestmark = pytest.mark.root
COUNT = "i=1; while :; do echo $i; i=$((i+1)); usleep 300; done"
ON_TERM = "trap 'echo bye; exit 7' TERM; while :; do sleep 0.02; done"


def lines_of(tree: Tree, id: str) -> list[int]:
    """The numbers that a counting container has logged, a cut last one excepted."""
    return [int(record["log"]) for record in tree.records(id) if record["log"].endswith("\n")]


def test_a_killed_monitor_loses_and_doubles_no_line(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("slow", COUNT)
        await tree.run("fast", "seq 1 600000; exit 8")
        await tree.run("pty", COUNT, tty=True)
        await tree.run("alike", "yes same | head -n 400000; exit 9")
        for _ in range(8):
            await asyncio.sleep(random.uniform(0.02, 0.15))
            await tree.kill_monitor()
        assert (await tree.ended("fast", 30)).status == 8
        assert (await tree.ended("alike", 30)).status == 9
        for id in ("slow", "pty"):
            await tree.processes.kill(id, signal.SIGKILL)
            assert (await tree.ended(id)).status == 137
            assert (lines := lines_of(tree, id)) == list(range(1, len(lines) + 1))
        assert tree.log("fast").read_bytes().count(b"\n") == 600_000
        assert lines_of(tree, "fast") == list(range(1, 600_001))
        assert tree.log("alike").read_bytes().count(b'{"log":"same\\n"') == 400_000

    scenario(body)


def test_exits_while_there_is_no_monitor_are_exact(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        pids = {
            "term": await tree.run("term", ON_TERM),
            "text": await tree.run("text", "trap 'seq 1 5000; echo -n end; exit 5' TERM; while :; do sleep 0.02; done"),
            "killed": await tree.run("killed", ["/bin/sleep", "60"]),
        }
        await asyncio.sleep(0.1)
        status = await tree.status()
        os.kill(status["pid"], signal.SIGSTOP)
        os.kill(status["monitor"], signal.SIGKILL)
        await asyncio.sleep(0.02)
        for id, pid in pids.items():
            os.kill(pid, signal.SIGKILL if id == "killed" else signal.SIGTERM)
        await asyncio.sleep(0.2)
        os.kill(status["pid"], signal.SIGCONT)
        assert [(await tree.ended(id)).status for id in ("term", "text", "killed")] == [7, 5, 137]
        assert tree.text("text") == "".join(f"{n}\n" for n in range(1, 5001)) + "end"

    scenario(body)


def test_a_dead_supervisor_is_replaced_by_its_monitor(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("slow", COUNT)
        await tree.run("pty", COUNT, tty=True)
        await tree.run("first", ON_TERM)
        await tree.run("second", ON_TERM)
        await tree.run("cat", "cat; exit 5", stdin=True)
        await tree.processes.reserve_ports("one", [PortMapping("tcp", "127.0.0.1", 47111, 80)])
        await tree.kill_supervisor()
        await tree.processes.kill("first", signal.SIGTERM)
        assert (await tree.ended("first")).status == 7
        await tree.kill_monitor()
        await tree.processes.kill("second", signal.SIGTERM)
        assert (await tree.ended("second")).status == 7
        await tree.kill_supervisor()
        assert list(await tree.processes.ports()) == ["one"]
        await tree.processes.close_stdin("cat")
        assert (await tree.ended("cat")).status == 5
        for id in ("slow", "pty"):
            await tree.processes.kill(id, signal.SIGKILL)
            assert (await tree.ended(id)).status == 137
            assert (lines := lines_of(tree, id)) == list(range(1, len(lines) + 1))
        assert await tree.processes.job("ensure_bind", {"path": "/", "create": False}) == {"kind": "dir"}
        await tree.processes.release_ports("one")

    scenario(body)


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_requests_in_flight_are_served_by_the_next_monitor(scenario: Scenario, name: str) -> None:
    async def body(tree: Tree) -> None:
        tree.runtime = runtime(name)
        for number in range(8):
            id = f"half{number}"
            creation = asyncio.ensure_future(tree.processes.create(tree.launch(id, f"echo once; exit {number}")))
            await asyncio.sleep(number * 0.0015)
            await tree.strike_monitor()
            await creation
            starting = asyncio.ensure_future(tree.processes.start(id))
            if number % 2:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                await tree.strike_monitor()
            await starting
            assert (await tree.ended(id)).status == number
            assert tree.text(id) == "once\n"
            await tree.processes.delete(id, tree.runtime)

    scenario(body)


def test_the_input_of_a_lost_attach_ends_where_it_is_the_one_there_may_be(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("once", "cat; exit 6", stdin=True, stdin_once=True)
        await tree.run("never", "cat; exit 6", stdin=True, stdin_once=True)
        with await attach(tree, "once", stdin=True):
            await tree.kill_monitor()
            assert (await tree.ended("once")).status == 6
        assert "never" not in tree.exits

    scenario(body)


def test_reserved_ports_outlive_the_monitor(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        port = PortMapping("tcp", "127.0.0.1", 47112, 80)
        await tree.processes.reserve_ports("one", [port])
        await tree.kill_monitor()
        assert await tree.processes.ports() == {"one": [port]}
        with pytest.raises(Conflict):
            await tree.processes.reserve_ports("two", [port])
        with socket.socket() as rival:
            rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                rival.bind(("127.0.0.1", 47112))
        await tree.processes.release_ports("one")

    scenario(body)


def test_when_both_are_killed_the_exits_are_told_as_unknown(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("ended", "exit 4")
        await tree.ended("ended")
        pid = await tree.run("lost", ["/bin/sleep", "60"])
        status = await tree.status()
        for who in ("monitor", "pid"):
            os.kill(status[who], signal.SIGSTOP)
        for who in ("monitor", "pid"):
            os.kill(status[who], signal.SIGKILL)
        exit = await tree.ended("lost")
        assert (exit.status, bool(exit.error)) == (255, True)
        assert [(info.id, info.exit and info.exit.status) for info in await tree.processes.list()] == [("ended", 4)]
        await tree.processes.delete("lost", tree.runtime)
        await until(lambda: not program_of(pid))

    scenario(body)


def test_an_engine_that_has_given_up_its_processes_tries_again_when_it_is_asked(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_link, "_PATIENCE", 0.5)

    async def body(tree: Tree) -> None:
        status, code = await tree.status(), tree.processes._code
        tree.processes._code = attrs.evolve(code, program=("/bin/false",))  # no memory, no pid: it may be better soon
        for who in ("monitor", "pid"):
            os.kill(status[who], signal.SIGSTOP)
        for who in ("monitor", "pid"):
            os.kill(status[who], signal.SIGKILL)
        with pytest.raises(Unavailable, match="nobody answers"):
            await tree.processes.list()
        tree.processes._code = code
        monkeypatch.setattr(tree.processes._supervisor, "_patience", 10.0)
        monkeypatch.setattr(tree.processes._monitor, "_patience", 10.0)
        async with asyncio.timeout(10):
            assert await tree.processes.list() == []
            await tree.run("one", "exit 3")
            assert (await tree.ended("one")).status == 3

    scenario(body)


def test_a_job_that_is_asked_for_while_there_is_no_connection_is_done(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        tree.processes._supervisor._broken()  # as when the supervisor has just died
        async with asyncio.timeout(5):
            assert await tree.processes.job("ensure_bind", {"path": "/", "create": False}) == {"kind": "dir"}

    scenario(body)


def test_the_monitor_of_a_dying_supervisor_does_not_wait_for_a_runtime_that_hangs(
    scenario: Scenario, tmp_path: Path
) -> None:
    async def body(tree: Tree) -> None:
        hanging = tmp_path / "crun"
        hanging.write_text("#!/bin/busybox sh\nexec /bin/busybox sleep 600\n")
        hanging.chmod(0o755)
        slow = Runtime((str(hanging),), "", hide_unified_cgroup=runtime("crun").hide_unified_cgroup)
        await tree.run("term", "trap 'exit 7' TERM; while :; do sleep 0.02; done")
        launch = tree.launch("hangs", "exit 0", tty=True, runtime=slow)
        creation = asyncio.ensure_future(tree.processes.create(launch))
        await asyncio.sleep(0.1)
        await tree.kill_supervisor()
        await tree.processes.kill("term", signal.SIGTERM)
        assert (await tree.ended("term")).status == 7
        await asyncio.sleep(0.1)  # by now it has been asked for again, of the next monitor
        hanging.unlink()
        hanging.symlink_to(shutil.which("crun") or "")
        await tree.kill_monitor()
        await creation
        await tree.processes.start("hangs")
        assert (await tree.ended("hangs")).status == 0

    scenario(body)
