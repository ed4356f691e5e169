"""A second wherryd, of another version, takes over from the first: containers, logs, execs and exit codes go on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from scripts.engine import ROOT, Engine
from tests.end_to_end.exec_kit import World, until, world

from wherry.testing.ledger import become_subreaper

pytestmark = [pytest.mark.root, pytest.mark.peer]
COUNT = "trap 'exit 7' TERM; i=1; while :; do echo $i; i=$((i+1)); usleep 10000; done"


def copied(folder: Path) -> str:
    """All our sources in a folder of their own, with a change in what the small processes run; a PYTHONPATH."""
    for top in ("core", "plugins"):
        shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "core/wherry_engine/monitor/report.py").open("a") as file:
        file.write("\n# another version\n")
    return ":".join(map(str, [folder / "core", *(folder / "plugins").iterdir()]))


def restarted(engine: World, environment: dict[str, str]) -> None:
    """End wherryd in order, and start it once more."""
    engine.engine.stop()
    engine.engine = Engine(engine.where, environment)


def programs(engine: World) -> dict[str, bytes]:
    """The command lines of supervisor and monitor."""
    found = engine.processes()
    return {name: Path(f"/proc/{found[name]}/cmdline").read_bytes() for name in ("supervisor", "monitor")}


def lines(engine: World) -> list[int]:
    """What the counting container has logged."""
    return [int(line) for line in engine.wherry("logs", "count").out.splitlines()]


def test_containers_go_on_below_an_engine_of_another_version(tmp_path: Path) -> None:
    become_subreaper()
    with world() as engine:
        wherry = engine.wherry
        assert wherry("run", "-d", "--name", "count", "busybox", "sh", "-c", COUNT).status == 0
        assert wherry("run", "-d", "--name", "web", "-p", "127.0.0.1:47141:80", "busybox", "sleep", "10000").status == 0
        exec_id = engine.detached("count", "sleep", "10000")
        before = engine.processes()
        path = copied(tmp_path / "new")
        for environment in ({"PYTHONPATH": path}, {}):
            seen = lines(engine)[-1]
            restarted(engine, environment)
            if not environment:
                shutil.rmtree(tmp_path / "new")
            after = engine.processes()
            assert [after[name] for name in ("supervisor", "monitor")] == [before["supervisor"], before["monitor"]]
            for program in programs(engine).values():
                assert (str(tmp_path / "new").encode() in program) == bool(environment)
            assert sorted(wherry("ps", "--format", "{{.Names}} {{.State}}").out.splitlines()) == [
                "count running",
                "web running",
            ]
            until(lambda seen=seen: lines(engine)[-1] > seen)  # type: ignore[misc]
            assert (ran := lines(engine)) == list(range(1, len(ran) + 1))
            assert len(engine.running("count")) == 1
            assert wherry("exec", "count", "echo", "here").out == "here\n"
        os.kill(engine.ask("GET", f"/exec/{exec_id}/json")[1]["Pid"], 9)
        assert engine.code(exec_id) == 137
        assert wherry("stop", "count").status == 0
        assert wherry("wait", "count").out == "7\n"
        assert wherry("run", "--rm", "busybox", "echo", "new").out == "new\n"
        assert (ran := lines(engine)) == list(range(1, len(ran) + 1))
        assert "earlier engine" not in engine.engine.log_tail(1000)
