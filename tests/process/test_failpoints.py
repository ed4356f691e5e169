"""Every step of the process tree fails, or kills its process, once: nothing is left, and the next attempt succeeds."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from tests.process.exec_kit import Execs
from tests.process.failpoint_kit import assert_clean, fired
from tests.process.process_kit import Tree, runtime, tree, until
from tests.process.upgrade_kit import copied, upgraded, versions

from wherry.errors import WherryError
from wherry.model.logs import LocalLog
from wherry.model.networks import PortMapping
from wherry.model.runtimes import Runtime
from wherry_engine.engine.process_upgrade import TreeCode, tree_code

pytestmark = pytest.mark.root
STEPS = [
    "monitor.work.sweep",
    "monitor.create.spawn",
    "monitor.create.console",
    "monitor.create.pid",
    "monitor.create.sweep",
    "monitor.start.fifo",
    "monitor.start.stop",
    "monitor.start.open",
    "monitor.start.keep",
    "monitor.start.go",
    "monitor.start.served",
    "monitor.kill",
    "monitor.exec.spawn",
    "monitor.exec.pid",
    "monitor.exec.kill",
    "monitor.exec.sweep",
    "monitor.exit.write",
    "monitor.exit.remove",
    "monitor.delete.cgroups",
    "monitor.delete.state",
    "monitor.log.rotate",
    "monitor.log.compress",
    "supervisor.job.fork",
    "helper.bind.create",
]
OF_RUNC = tuple(f"monitor.start.{step}" for step in ("stop", "open", "keep", "go", "served"))
UPGRADES = [f"{who}.upgrade.{step}" for who in ("supervisor", "monitor") for step in ("check", "execute", "take")]


async def live(tree: Tree, id: str, *, rotated: bool = True) -> None:
    """A whole life that passes every step; raises the first error after removing what there is."""
    log = LocalLog(format="json-file", max_size=300, max_files=2, compress=True)
    try:
        await tree.processes.create(tree.launch(id, "seq 1 20; sleep 60", tty=True, log=log))
        await tree.processes.start(id)
        await tree.processes.job("ensure_bind", {"path": str(tree.root / "new" / id), "create": True})
        await tree.processes.reserve_ports(id, [PortMapping("tcp", "127.0.0.1", 47115, 1)])
        await until(lambda: bool(list(tree.root.glob(f"{id}.log*"))), 2)
        await until(lambda: tree.log(id).with_name(f"{id}.log.1.gz").exists() if rotated else bool(fired(tree)), 5)
        await refuse(tree, f"{id}-refused")
        if rotated:  # else the monitor may be killed at any moment, by the log's failpoint, and a start be interrupted
            await execute(tree, id)
        await tree.processes.kill(id, signal.SIGKILL)
        await tree.ended(id)
    finally:
        await tree.processes.release_ports(id)
        await delete(tree, id)


async def delete(tree: Tree, id: str, runtime: Runtime | None = None) -> None:
    """Remove it; asked again, as the engine would, for the failpoint may be one of removal."""
    with suppress(WherryError):
        await tree.processes.delete(id, runtime or tree.runtime)
    await tree.processes.delete(id, runtime or tree.runtime)


async def refuse(tree: Tree, id: str) -> None:
    """A container that cannot be created."""
    try:
        with pytest.raises(WherryError, match=r"nosuch|failpoint"):
            await tree.processes.create(tree.launch(id, ["/nosuch"]))
    finally:
        await delete(tree, id)


async def execute(tree: Tree, id: str) -> None:
    """One exec that is killed, and one that cannot begin."""
    execs = Execs(tree)
    started = await execs.start(id, ["/bin/sleep", "60"])
    started.close()
    await tree.processes.execs.kill(started.id)
    assert await execs.status(started) == 137
    with pytest.raises(WherryError):
        await execs.start(id, ["/nosuch"])


@pytest.mark.parametrize("action", ["error@before", "error@after", "kill@before", "kill@after"])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_fails_leaves_nothing(
    name: str, action: str, tmp_path: Path, rootfs: Path, told: TreeCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERRY_FAILPOINTS", "")

    async def body() -> None:
        async with tree(tmp_path, rootfs, failpoints=f"{name}={action}", code=told) as fresh:
            fresh.runtime = runtime("runc" if len(name) % 2 or name in OF_RUNC else "crun")
            problem: Exception | None = None
            try:
                await live(fresh, "first", rotated=not name.startswith("monitor.log"))
            except (WherryError, AssertionError) as error:
                problem = error
            refused = action.startswith("error") and not name.startswith(
                (
                    "monitor.exit",
                    "monitor.delete",
                    "monitor.log",
                    "monitor.exec.sweep",
                    "monitor.work",
                    "monitor.create.sweep",
                )
            )
            alone = name.startswith(
                ("supervisor.job", "helper.", "monitor.exec.spawn")
            )  # what is not asked again of a successor
            either = (name, action) == (
                "monitor.exec.spawn",
                "kill@after",
            )  # whether the runtime has got its orders yet
            assert either or (problem is not None) == (refused or alone), problem
            assert fired(fresh) == [name]
            await assert_clean(fresh)
            fresh.exits.clear()
            await live(fresh, "first")

    asyncio.run(body())


COUNT = "trap 'exit {status}' TERM; i=1; while :; do echo $i; i=$((i+1)); usleep 10000; done"


def survivors(who: str, step: str, action: str) -> tuple[str, str]:
    """Which code supervisor and monitor run after an upgrade to "new" has met this failpoint."""
    if step == "execute" and action.endswith("after"):  # by then it is other code
        return "new", "new"
    if who == "supervisor":  # dead or not: the old monitor, or itself, goes on
        return tree_code().digest, tree_code().digest
    dies = action.startswith("kill") or step == "take"  # then the new supervisor forks the next one
    return "new", "new" if dies else tree_code().digest


@pytest.mark.parametrize("name", UPGRADES)
@pytest.mark.parametrize("action", ["error@before", "error@after", "kill@before", "kill@after"])
def test_a_step_of_an_upgrade_that_fails_leaves_a_tree_that_works(
    name: str, action: str, tmp_path: Path, rootfs: Path
) -> None:
    async def body() -> None:
        who, _, step = name.split(".")
        async with tree(tmp_path, rootfs, failpoints=f"{name}={action}") as fresh:
            statuses = {"slow": 5, "pty": 6}
            for id, status in statuses.items():
                await fresh.run(id, COUNT.format(status=status), tty=id == "pty")
            await upgraded(fresh, copied(tmp_path / "new", "new"))  # which is armed in the same way
            assert await versions(fresh) == survivors(who, step, action)
            fresh.environment["WHERRY_FAILPOINTS"] = ""
            await upgraded(fresh, copied(tmp_path / "newer", "newer"))
            assert await versions(fresh) == ("newer", "newer")
            for id, status in statuses.items():
                await fresh.processes.kill(id, signal.SIGTERM)
                assert (await fresh.ended(id)).status == status
                lines = [int(line) for line in fresh.text(id).splitlines()]
                assert lines == list(range(1, len(lines) + 1))

    asyncio.run(body())
