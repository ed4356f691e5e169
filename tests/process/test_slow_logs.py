"""A log whose old files take long to compress: it holds its container up, or leaves output out and says so."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import attrs
import pytest
from tests.process.process_kit import Scenario, Tree

from wherry.model.logs import LocalLog
from wherry_engine.engine.log_files import FORMS

pytestmark = pytest.mark.root
SAYS = "seq 1 400000; exit 5"
SAID = "".join(f"{n}\n" for n in range(1, 400_001))
GAP = re.compile(rb"wherry: (\d+) bytes of output are missing here, the log could not keep up\n")
SLOW = LocalLog(format="json-file", max_size=20_000, max_files=3, compress=True, buffer=10_000)


def stuck(log: Path) -> Path:
    """Where the compressor will open a file to write, and wait for a reader: the disk is slow."""
    path = log.with_name(f"{log.name}.1.gz.tmp")
    os.mkfifo(path)
    return path


def free(fifo: Path) -> None:
    """Let the compressor end."""
    with open(fifo, "rb") as reader:
        reader.read()


def texts(path: Path, form: str) -> list[bytes]:
    records, _ = FORMS[form].cut(path.read_bytes())
    return [record.line for record in map(FORMS[form].record, records) if record is not None]


def test_a_container_is_held_up_until_its_log_can_go_on(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        fifo = stuck(tree.log("held"))
        await tree.run("held", SAYS, log=attrs.evolve(SLOW, max_size=200_000))
        await asyncio.sleep(0.5)
        assert "held" not in tree.exits
        await asyncio.to_thread(free, fifo)
        assert (await tree.ended("held")).status == 5

    scenario(body)


@pytest.mark.parametrize("form", ["json-file", "local"])
def test_one_that_must_not_be_held_up_goes_on_and_the_log_tells_what_is_missing(scenario: Scenario, form: str) -> None:
    async def body(tree: Tree) -> None:
        log = tree.log("free")
        fifo = stuck(log)
        await tree.run("free", SAYS, log=attrs.evolve(SLOW, format=form, non_blocking=True))  # type: ignore[arg-type]
        assert (await tree.ended("free")).status == 5
        kept = texts(log.with_name(f"{log.name}.1"), form) + texts(log, form)
        (place,) = [number for number, text in enumerate(kept) if text.startswith(b"wherry")]
        gap = GAP.fullmatch(kept[place])
        assert gap is not None
        before, after = (b"".join(part).decode() for part in (kept[:place], kept[place + 1 :]))
        assert (SAID.startswith(before), SAID.endswith(after)) == (True, True)
        assert len(before) + int(gap[1]) + len(after) == len(SAID)
        assert log.with_name(f"{log.name}.1").stat().st_size < 20_100
        assert len(after) <= 1 << 20
        await asyncio.to_thread(free, fifo)

    scenario(body)
