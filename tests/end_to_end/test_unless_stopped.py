"""--restart unless-stopped, by Docker's client, over a restart of the engine."""

from __future__ import annotations

import subprocess
import time

import pytest
from scripts import images
from scripts.engine import Engine, workplace
from tests.end_to_end.conftest import Client

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer]
QUICK = ("--stop-signal", "KILL")
FOR_EVER = ("busybox", "sleep", "1000")


def test_unless_stopped_holds_over_a_restart_of_the_engine(host_ledger: HostLedger) -> None:
    with workplace() as where:
        engine = Engine(where)
        try:
            docker = Client("docker", where.host)
            docker.run("load", "-qi", str(images.busybox()))
            for name in ("kept", "stopped"):
                docker.run("run", "-d", "--name", name, "--restart", "unless-stopped", *QUICK, *FOR_EVER)
            docker.run("stop", "stopped")
            engine.stop()
            engine = Engine(where)
            assert docker.text("ps", "--format", "{{.Names}}") == "kept\n"
            pid = docker.inspect("kept")["State"]["Pid"]
            subprocess.run(["kill", "-9", str(pid)], check=True)
            for _ in range(100):
                state = docker.inspect("kept")["State"]
                if state["Running"] and state["Pid"] not in (0, pid):
                    break
                time.sleep(0.05)
            else:
                raise AssertionError("the container did not come back")
            docker.run("rm", "-f", "kept", "stopped")
            engine.stop()
        finally:
            engine.discard()
