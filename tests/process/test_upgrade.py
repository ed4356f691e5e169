"""An engine of another version gives supervisor and monitor its own code in place, and nothing that runs notices."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from tests.process.exec_kit import Execs
from tests.process.process_kit import Scenario, Tree, attach, tree, until
from tests.process.upgrade_kit import change, copied, upgraded, versions

from wherry.model.networks import PortMapping
from wherry_engine.engine.process_upgrade import digest, tree_code
from wherry_engine.monitor.protocol import FORMAT, VERSION

pytestmark = pytest.mark.root
COUNT = "trap 'exit {status}' TERM; i=1; while :; do echo {before}$i; i=$((i+1)); usleep 10000; done"


def numbers(tree: Tree, id: str) -> list[int]:
    """The numbers that a counting container has logged."""
    return [int(record["log"].strip()) for record in tree.records(id) if record["log"].endswith("\n")]


def pss(pid: int) -> int:
    """The memory of a process, in kilobytes."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


async def pids(tree: Tree) -> tuple[int, int]:
    """Of supervisor and monitor."""
    status = await tree.status()
    return status["pid"], status["monitor"]


def test_five_upgrades_under_load_lose_and_double_nothing(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        for number in range(8):
            await tree.run(f"slow{number}", COUNT.format(status=number, before=""))
        await tree.run("pty", COUNT.format(status=8, before=""), tty=True)
        await tree.run("fast", "seq 1 600000; exit 9")
        execs = Execs(tree)
        running = await execs.start("slow0", "read line; echo $line; exit 10")
        await tree.processes.reserve_ports("one", [PortMapping("tcp", "127.0.0.1", 47131, 80)])
        before = await pids(tree)
        open_files = [len(os.listdir(f"/proc/{pid}/fd")) for pid in before]
        for number in range(5):
            await asyncio.sleep(0.1)
            await upgraded(tree, copied(tmp_path / f"code{number}", f"version {number}"))
            assert await versions(tree) == (f"version {number}",) * 2
        assert await pids(tree) == before
        await tree.processes.list()
        print("open files", open_files, "pss", [pss(pid) for pid in before])
        os.write(running.stdin, b"still here\n")
        assert await execs.status(running) == 10
        assert running.output() == b"still here\n"
        running.close()
        assert list(await tree.processes.ports()) == ["one"]
        await tree.processes.release_ports("one")
        assert (await tree.ended("fast", 60)).status == 9
        assert tree.log("fast").read_bytes().count(b"\n") == 600_000
        assert numbers(tree, "fast") == list(range(1, 600_001))
        for number, id in enumerate([*(f"slow{number}" for number in range(8)), "pty"]):
            await tree.processes.kill(id, signal.SIGTERM)
            assert (await tree.ended(id)).status == number
            assert (lines := numbers(tree, id)) == list(range(1, len(lines) + 1))
        assert [len(os.listdir(f"/proc/{pid}/fd")) for pid in before] <= open_files

    scenario(body)
