"""Service processes: kept running by the supervisor, whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from tests.process.process_kit import Scenario, Tree, tree, until

from wherry.errors import Failed, WherryError
from wherry.linux.process import parent_of, program_of
from wherry.model.sandboxes import ServiceProcess

pytestmark = pytest.mark.root
STEPS = ["supervisor.service.fork", "supervisor.service.note", "supervisor.service.kill"]
CODE = """
import os, sys, time

def main(arguments):
    with open(arguments[0], "a") as file:
        file.write(f"{os.getpid()} {' '.join(arguments[1:])}\\n")
    if "fail" in arguments:
        raise RuntimeError("it cannot be")
    time.sleep(3600)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a plugin would be: a package that the supervisor has never heard of."""
    site = tmp_path / "site"
    (site / "some_service").mkdir(parents=True)
    (site / "some_service" / "__init__.py").write_text("")
    (site / "some_service" / "main.py").write_text(CODE)
    monkeypatch.syspath_prepend(site)
    return site


def service(tree: Tree, *arguments: str) -> ServiceProcess:
    return ServiceProcess("some", "some_service.main:main", (str(tree.root / "lives"), *arguments))


def lives(tree: Tree) -> list[tuple[int, str]]:
    """(pid, arguments) of each life so far."""
    path = tree.root / "lives"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.partition(" ")[0]), line.partition(" ")[2]) for line in lines]


async def pid(tree: Tree) -> int:
    """The process that runs."""
    return int((await tree.status())["services"].get("some", 0))


def test_a_service_runs_once_and_again_when_it_ends(scenario: Scenario, package: Path) -> None:
    async def body(tree: Tree) -> None:
        for _ in range(2):
            await tree.processes.service(service(tree))
        for count in range(1, 6):
            await until(lambda n=count: len(lives(tree)) == n)  # type: ignore[misc]
            os.kill(lives(tree)[-1][0], signal.SIGKILL)
        await until(lambda: len(lives(tree)) == 6)
        assert await pid(tree) == lives(tree)[-1][0]
        assert not list(package.rglob("*.pyc"))

    scenario(body)


def test_other_arguments_replace_it(scenario: Scenario, package: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.service(service(tree, "old"))
        await until(lambda: len(lives(tree)) == 1)
        await tree.processes.service(service(tree, "new"))
        await until(lambda: len(lives(tree)) == 2)
        assert lives(tree)[-1] == (await pid(tree), "new")
        assert not program_of(lives(tree)[0][0])

    scenario(body)


def test_other_code_replaces_it(scenario: Scenario, package: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.service(service(tree))
        await until(lambda: len(lives(tree)) == 1)
        with (package / "some_service" / "main.py").open("a") as file:
            file.write("\n# another version\n")
        await tree.processes.service(service(tree))
        await until(lambda: len(lives(tree)) == 2)

    scenario(body)


def test_one_that_fails_at_once_is_tried_ever_more_slowly(tmp_path: Path, rootfs: Path, package: Path) -> None:
    async def body() -> None:
        async with tree(tmp_path, rootfs, failpoints="none=error") as fresh:  # its errors are in the log
            await fresh.processes.service(service(fresh, "fail"))
            await until(lambda: len(lives(fresh)) == 3)
            await asyncio.sleep(0.5)
            assert 3 <= len(lives(fresh)) <= 6
            assert "RuntimeError: it cannot be" in (fresh.run_root / "processes.log").read_text()

    asyncio.run(body())


def test_the_monitors_death_does_not_touch_it(scenario: Scenario, package: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.service(service(tree))
        await until(lambda: len(lives(tree)) == 1)
        for _ in range(3):
            await tree.kill_monitor()
        assert [await pid(tree)] == [number for number, _ in lives(tree)]

    scenario(body)


def test_the_next_supervisor_goes_on_with_it(scenario: Scenario, package: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.service(service(tree))
        await until(lambda: len(lives(tree)) == 1)
        first = lives(tree)[0][0]
        await tree.kill_supervisor()
        await until(lambda: len(lives(tree)) == 2)
        await until(lambda: not program_of(first))
        assert parent_of(lives(tree)[1][0]) == (await tree.status())["pid"]
        await tree.processes.service(service(tree))
        assert await pid(tree) == lives(tree)[1][0]

    scenario(body)


def test_it_outlives_the_engine_and_ends_with_the_tree(scenario: Scenario, package: Path) -> None:
    seen: list[int] = []

    async def body(tree: Tree) -> None:
        await tree.processes.service(service(tree))
        await until(lambda: len(lives(tree)) == 1)
        await tree.processes.close()
        await tree.connect()
        await tree.processes.service(service(tree))
        seen.append(await pid(tree))
        assert seen == [lives(tree)[0][0]]

    scenario(body)
    assert not program_of(seen[0])


def test_a_service_whose_module_is_missing_is_told_in_the_log(tmp_path: Path, rootfs: Path, package: Path) -> None:
    async def body() -> None:
        async with tree(tmp_path, rootfs, failpoints="none=error") as fresh:
            await fresh.processes.service(ServiceProcess("gone", "some_service.nosuch:main"))
            log = fresh.run_root / "processes.log"
            await until(lambda: "No module named 'some_service.nosuch'" in log.read_text())

    asyncio.run(body())


@pytest.mark.parametrize("action", ["error@before", "error@after", "kill@before", "kill@after"])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_fails_leaves_one_service(
    name: str, action: str, tmp_path: Path, rootfs: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERRY_FAILPOINTS", "")

    async def body() -> None:
        async with tree(tmp_path, rootfs, failpoints=f"{name}={action}") as fresh:
            failed: list[WherryError] = []
            for arguments in ("one", "two"):
                try:
                    await fresh.processes.service(service(fresh, arguments))
                except Failed as error:
                    failed.append(error)
                    await fresh.processes.service(service(fresh, arguments))
            assert bool(failed) == action.startswith("error")
            await until(lambda: bool(lives(fresh)) and lives(fresh)[-1][1] == "two")
            own = [number for number, _ in lives(fresh) if program_of(number)]
            assert own == [await pid(fresh)]

    asyncio.run(body())
