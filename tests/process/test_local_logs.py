"""Logs of the form `local` as the monitor writes them: rotated, compressed, and whole whoever is killed when."""

from __future__ import annotations

import asyncio
import gzip
import random
from pathlib import Path

import pytest
from tests.process.process_kit import SPURTS, Scenario, Tree, until

from wherry.model.logs import LocalLog, LogQuery, Record
from wherry_engine.engine.log_files import FORMS
from wherry_engine.engine.logs import read_logs

pytestmark = pytest.mark.root
ALL_KEPT = LocalLog(format="local", max_size=60_000, max_files=99, compress=True)
# what no text of JSON could hold, what protobuf and the framing use themselves, and a line in three parts
ODD = r"printf '\377\0\010\006stdout\n\n\n\000\000\000\027\n'; dd if=/dev/zero bs=40000 count=1 2>/dev/null; echo; printf end"


async def read(tree: Tree, id: str, query: LogQuery | None = None) -> list[Record]:
    return [r async for r in read_logs(tree.log(id), FORMS["local"], query or LogQuery(), lambda: True)]


def rotated(log: Path) -> list[Path]:
    return sorted(path for path in log.parent.glob(f"{log.name}.*"))


def test_every_byte_of_both_streams_is_kept(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("odd", f"{ODD}; echo said >&2", log=LocalLog(format="local"))
        await tree.ended("odd")
        found = await read(tree, "odd")
        assert [r.line for r in found if r.stream == "stderr"] == [b"said\n"]
        said = [r.line for r in found if r.stream == "stdout"]
        assert said[:4] == [b"\xff\0\x08\x06stdout\n", b"\n", b"\n", b"\0\0\0\x17\n"]
        assert [len(line) for line in said[4:]] == [16384, 16384, 40000 - 2 * 16384 + 1, 3]
        assert tree.log("odd").stat().st_size < 41_000

    scenario(body)


def test_the_log_is_rotated_and_compressed_and_the_oldest_goes(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        log = LocalLog(format="local", max_size=50_000, max_files=3, compress=True)
        await tree.run("long", SPURTS, log=log)
        await tree.ended("long")
        path = tree.log("long")
        packed = [path.with_name(f"{path.name}.{n}.gz") for n in (1, 2)]
        await until(lambda: rotated(path) == packed)
        assert all(50_000 <= len(gzip.decompress(file.read_bytes())) < 50_100 for file in packed)
        lines = [int(r.line) for r in await read(tree, "long")]
        assert lines == [n for _ in range(20) for n in range(1, 1001)][-len(lines) :]
        assert len(lines) > 2_000
        assert [int(r.line) for r in await read(tree, "long", LogQuery(tail=2_000))] == lines[-2_000:]

    scenario(body)


def test_killed_monitors_lose_and_double_no_line_over_rotations(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("fast", "seq 1 150000; exit 8", log=ALL_KEPT)
        await tree.run("slow", "for i in $(seq 1 300); do echo $i; echo $i >&2; usleep 3000; done", log=ALL_KEPT)
        for _ in range(8):
            await asyncio.sleep(random.uniform(0.01, 0.12))
            await tree.kill_monitor()
        assert (await tree.ended("fast", 30)).status == 8
        await tree.ended("slow", 30)
        assert [int(r.line) for r in await read(tree, "fast")] == list(range(1, 150_001))
        assert len(rotated(tree.log("fast"))) > 50
        for stream in ("stdout", "stderr"):
            lines = [int(r.line) for r in await read(tree, "slow") if r.stream == stream]
            assert lines == list(range(1, 301))

    scenario(body)


def test_what_a_lost_host_has_torn_is_cut_before_the_container_speaks_again(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("torn", "echo first; echo second", log=LocalLog(format="local"))
        await tree.ended("torn")
        await tree.processes.delete("torn", tree.runtime)
        log = tree.log("torn")
        log.write_bytes(log.read_bytes()[:-3] + b"\0" * 4096)
        tree.exits.clear()
        await tree.run("torn", "echo third", log=LocalLog(format="local"))
        await tree.ended("torn")
        assert [r.line for r in await read(tree, "torn")] == [b"first\n", b"third\n"]
        assert b"\0" * 100 not in log.read_bytes()

    scenario(body)
