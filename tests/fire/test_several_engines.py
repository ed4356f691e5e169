"""Engines beside each other and beside dockerd: none breaks another's traffic, and what dockerd drops is told and mended."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.engine import ROOT, remove_cgroups

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(150)]
ISOLATED = [
    "unshare",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
]


@pytest.fixture
def folder(host_ledger: HostLedger) -> Iterator[Path]:
    """A folder whose name dockerd's control groups bear; none of them is left afterwards."""
    assert shutil.which("dockerd"), "this test needs Debian's dockerd: run scripts/bootstrap"
    with tempfile.TemporaryDirectory(prefix="wherry-engines-") as made:
        try:
            yield Path(made)
        finally:
            remove_cgroups(Path(made).name)


def lab(folder: Path, what: str) -> Any:
    """What the lab found."""
    command = [*ISOLATED, sys.executable, "-m", "tests.fire.engines_lab", str(folder), what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=140)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    return json.loads(done.stdout)


def test_no_request_fails_while_other_engines_come_and_go_in_any_order(folder: Path) -> None:
    problems = []
    for outcome in lab(folder, "orders"):
        told = f"{' '.join(outcome['order'])}, ip_forward {outcome['forwarding']} at first"
        for name, (asked, failures) in outcome["asked"].items():
            problems += [f"{told}: {len(failures)} of {asked} requests to {name}: {failures[0]}"] if failures else []
            problems += [f"{told}: {name} was asked {asked} times only"] if asked < 20 else []
        problems += [f"{told}: left behind: {line}" for line in outcome["left"]]
    assert not problems, "\n".join(problems)


def test_what_dockerd_drops_is_told_with_its_rule_and_mended_where_that_is_wanted(folder: Path) -> None:
    found = lab(folder, "dropped")
    asked, failures, warnings = found["False"]
    assert asked == len(failures)
    assert any("chain ip filter FORWARD (policy drop)" in line and "DOCKER-USER" in line for line in warnings)
    assert any('"firewall-integration": true' in line for line in warnings)
    asked, failures, warnings = found["True"]
    assert asked > 20
    assert not failures
    assert not any("FORWARD" in line for line in warnings or ())
    marked = [line for line in found["inserted"] if "--comment wherry-" in line]
    assert len(marked) == 2
    assert all(line.startswith("-A DOCKER-USER -") for line in marked)
    assert [line for line in found["again"] if "--comment wherry-" in line] == marked
    assert found["clean False"]
    assert found["clean True"]
