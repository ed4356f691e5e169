"""Every step of the engine fails once and is killed once: nothing is left, nothing acknowledged is lost.

One engine's data root goes through the whole sweep, in a network namespace of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.engine.plain_drivers import install

from wherry.testing import steps, tasks
from wherry.testing.fixtures import HostLedger
from wherry.testing.ledger import become_subreaper, reap_orphans

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
LAB = Path(__file__).with_name("sweep_lab.py")
# Steps that the engine's life passes outside the operations that are swept here, each with the test that reaches it.
ELSEWHERE = {
    "container.end.thaw": "tests/fire/test_reboot.py",
    "engine.reboot": "tests/fire/test_reboot.py",
    "api.listen": "tests/api/test_listeners.py",
    # A check repairs what is left behind, and leaves no state that a failed step of it could spoil.
    "check.look": "tests/ledger/test_system_check.py",
    "check.mend": "tests/ledger/test_system_check.py",
    "check.snapshots": "tests/ledger/test_system_check.py",
    "check.snapshot.remove": "tests/ledger/test_system_check.py",
    "check.volumes": "tests/ledger/test_system_check.py",
    "check.networks": "tests/ledger/test_system_check.py",
    "check.endpoints": "tests/ledger/test_system_check.py",
    "check.network.delete": "tests/ledger/test_system_check.py",
    "check.endpoint.detach": "tests/ledger/test_system_check.py",
    "check.rules": "tests/ledger/test_system_check.py",
    "daemon.claim": "tests/end_to_end/test_demo.py",
    "daemon.pidfile": "tests/end_to_end/test_demo.py",
    "daemon.pidfile.remove": "tests/end_to_end/test_demo.py",
}


class Lab:
    """A root folder on a tmpfs and a namespace; each call is a process of its own."""

    def __init__(self, root: Path, netns: str) -> None:
        self.root, self._netns = root, netns
        assert self.call("trace") is None
        self.trace: dict[str, Any] = json.loads((root / "trace.json").read_text())

    def call(self, *arguments: str) -> Any:
        """What the lab prints; None if it prints nothing, "killed" if it was."""
        command = ["nsenter", f"--net={self._netns}", sys.executable, str(LAB), str(self.root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250)
        if done.returncode == -signal.SIGKILL:
            return "killed"
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout) if done.stdout else None

    def reached(self) -> dict[str, str]:
        """Every step that a scenario reaches, with the first scenario that does."""
        found: dict[str, str] = {}
        for name, outcome in self.trace.items():
            for step in outcome["steps"]:
                found.setdefault(step, name)
        return found


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    become_subreaper()
    name = f"sweep{os.getpid()}"
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wherry-sweep-"))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
        stack.callback(subprocess.run, ["umount", "-R", "-l", folder], check=True)
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        stack.callback(_end_processes, folder)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield Lab(Path(folder), f"/run/netns/{name}")


def _end_processes(folder: str) -> None:
    for process in tasks.descendants(os.getpid()):
        if folder in Path(f"/proc/{process.pid}/cmdline").read_text():
            os.kill(process.pid, signal.SIGKILL)
    reap_orphans([])


def test_every_scenario_works_unhindered(lab: Lab) -> None:
    for name, outcome in lab.trace.items():
        assert not outcome["faults"], name


def test_a_step_that_fails_leaves_the_state_as_if_never_attempted(lab: Lab) -> None:
    problems: list[str] = []
    by_scenario: dict[str, list[str]] = {}
    for step, scenario in lab.reached().items():
        by_scenario.setdefault(scenario, []).append(step)
    for scenario, names in by_scenario.items():
        problems += [f"{scenario}: {problem}" for problem in lab.call("error", scenario, *names)]
    assert not problems, "\n".join(problems)


def test_a_kill_in_any_step_leaves_nothing_after_recovery(lab: Lab, host_ledger: HostLedger) -> None:
    problems: list[str] = []
    for step, scenario in lab.reached().items():
        for place in ("before", "after"):
            result = lab.call("kill", scenario, step, place)
            problems += [] if result == "killed" else result
    problems += lab.call("end")
    assert not problems, "\n".join(problems)


def test_drivers_that_are_unlike_the_built_in_ones_serve_a_whole_life(lab: Lab, tmp_path: Path) -> None:
    install(tmp_path)
    assert lab.call("plain", str(tmp_path)) == []


def test_every_step_of_the_engine_was_reached(lab: Lab) -> None:
    """Comes last: the others leave word of what they reached. The small processes' steps have tests/process."""
    reached = set((lab.root / "reached").read_text().split())
    declared = {name for name in steps.declared() if not name.startswith(("monitor.", "supervisor.", "helper."))}
    missed = sorted(declared - reached - set(ELSEWHERE))
    assert not missed, f"no test reaches {missed}"
    stale = sorted(set(ELSEWHERE) - declared)
    assert not stale, f"these steps are not declared any more: {stale}"
