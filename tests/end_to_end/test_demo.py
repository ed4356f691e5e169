"""The demo is the project's main job; here it must pass as it stands, once by each client."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from scripts.engine import ROOT

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.mark.parametrize("client", ["wherry", pytest.param("docker", marks=pytest.mark.peer)])
def test_the_demo_passes(client: str, host_ledger: HostLedger) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo_run", client],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    version = re.search(r"client is version (\S+);", done.stdout)
    assert version
    print(f"the {client} client is version {version[1]}")  # noqa: T201  which client it was matters to the reader
    assert "clean: the host is as it was before" in done.stdout
    assert "no side effect happened outside a named step" in done.stdout
