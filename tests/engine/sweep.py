"""Sweeps over the steps of an engine: the folder, the namespace and the processes in which sweep_lab.py works."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from wherry.testing import tasks
from wherry.testing.ledger import become_subreaper, reap_orphans

ROOT = Path(__file__).resolve().parents[2]


class Lab:
    """A root folder on a tmpfs and a namespace; each call is a process of its own."""

    def __init__(self, root: Path, netns: str, *scenarios: str) -> None:
        """Trace these scenarios, or all."""
        self.root, self._netns = root, netns
        assert self.call("trace", *scenarios) is None
        self.trace: dict[str, Any] = json.loads((root / "trace.json").read_text())
        self.back: dict[str, dict[str, list[str]]] = {}  # steps on the way back, by scenario and by what failed

    def call(self, *arguments: str, bug: str = "", program: str = "sweep_lab") -> Any:
        """What the lab prints; None if it prints nothing, "killed" if it was."""
        module = [sys.executable, "-m", f"tests.engine.{program}", str(self.root)]
        command = ["nsenter", f"--net={self._netns}", *module, *arguments]
        environment = {**os.environ, "WHERRY_LAB_BUG": bug}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
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

    def ways_back(self) -> dict[str, list[str]]:
        """By scenario: each step on a way back, behind one step whose failure leads to it."""
        found: dict[str, list[str]] = {}
        for scenario, back in self.back.items():
            pairs = {undo: f"{step}/{undo}" for step, undos in back.items() for undo in undos}
            # what a start does beside the step that fails is no way back
            found[scenario] = sorted(
                pair for undo, pair in pairs.items() if not undo.startswith(("container.start.", "volume.attach"))
            )
        return {scenario: pairs for scenario, pairs in found.items() if pairs}


@contextmanager
def sweep(*scenarios: str) -> Iterator[Lab]:
    """A lab that has traced these scenarios, or all."""
    become_subreaper()
    name = f"sweep{secrets.token_hex(4)}"
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wherry-sweep-"))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
        stack.callback(subprocess.run, ["umount", "-R", "-l", folder], check=True)
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        stack.callback(_end_processes, folder)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield Lab(Path(folder), f"/run/netns/{name}", *scenarios)


def _end_processes(folder: str) -> None:
    for process in tasks.descendants(os.getpid()):
        if folder in Path(f"/proc/{process.pid}/cmdline").read_text():
            os.kill(process.pid, signal.SIGKILL)
    reap_orphans([])
