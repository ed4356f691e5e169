"""Trees whose failpoints tell when they fire, and what must not be left by them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.process.process_kit import Tree
from tests.process.upgrade_kit import copied, edit

from wherry_engine.engine.process_upgrade import TreeCode
from wherry_engine.monitor.cgroups import Hierarchies

_TELL = """
def _fire(name: str, place: str, plain=_fire) -> None:
    armed = parse(os.environ.get(VARIABLE, "")) if _armed is None else _armed
    if name in armed and armed[name][1] == place:
        with open(os.environ["WHERRY_TEST_FIRED"], "a") as file:
            file.write(name + " ")
    plain(name, place)
"""


def telling(folder: Path) -> TreeCode:
    """Code whose failpoints tell in a file when they fire; deadlines are short."""
    code = copied(folder, folder.name)
    edit(folder, "wherry/linux/steps.py", _TELL)
    edit(folder, "wherry_engine/supervisor/heartbeat.py", "INTERVAL = 0.3")
    edit(folder, "wherry_engine/supervisor/supervisor.py", "_MAX_PAUSE = 0.1")
    return code


def fired(tree: Tree) -> list[str]:
    """The failpoints that have fired."""
    file = Path(tree.environment["WHERRY_TEST_FIRED"])
    return file.read_text().split() if file.exists() else []


async def assert_clean(tree: Tree) -> None:
    """No container is known, and no trace of one is left."""
    assert await tree.processes.list() == []
    assert (await tree.status())["held"] == {}
    assert os.listdir(tree.run_root / "work") == []
    assert [left for _, _, left in os.walk(tree.run_root / "runtime") if left] == []
    groups = Hierarchies().named(f"/{tree.group}")
    assert not [below for group in groups for below, folders, _ in os.walk(group) if below != group and not folders]
    assert str(tree.root) not in Path("/proc/self/mountinfo").read_text()
