"""Steps of the whole daemon fail or kill it: while it begins, while it ends, and in a check; the next one finds all."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time

import pytest
from scripts.engine import Engine
from tests.fire.daemon import Fire, Refused, eventually
from tests.ledger.plants import Named, plant_bridge, plant_endpoint, plant_folder, plant_group, plant_snapshot, spoilt

from wherry.linux.process import program_of, title_of
from wherry.testing import tasks
from wherry_engine.monitor.protocol import MONITOR_TITLE, SUPERVISOR_TITLE

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]

BEGINNING = ("daemon.claim", "daemon.pidfile", "api.listen")
ENDING = ("daemon.pidfile.remove",)
CHECK = ("check.look", "check.snapshots", "check.volumes", "check.networks", "check.endpoints", "check.rules")
MENDS = {
    "check.mend": plant_folder,
    "check.mend.groups": plant_group,
    "check.snapshot.remove": plant_snapshot,
    "check.network.delete": plant_bridge,
    "check.endpoint.detach": plant_endpoint,
}
FAULTS = ("error@before", "error@after", "kill@before", "kill@after")


@pytest.fixture
def busy(fire: Fire) -> Fire:
    """An engine with a container that must not notice anything."""
    fire.api.run("busy", NetworkMode="bridge")
    return fire


def _as_before(fire: Fire, pid: int) -> None:
    fire.start()
    assert fire.api.inspect("busy")["State"]["Pid"] == pid
    os.kill(pid, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_daemon_that_fails_as_it_begins_is_followed_by_one_that_finds_all(busy: Fire, fault: str) -> None:
    pid = busy.api.inspect("busy")["State"]["Pid"]
    for name in BEGINNING:
        busy.kill()
        status = -signal.SIGKILL if fault.startswith("kill") else 1
        armed = {**os.environ, "WHERRY_FAILPOINTS": f"{name}={fault}"}
        done = subprocess.run(busy.engine.command(), env=armed, capture_output=True, text=True, timeout=20)
        assert done.returncode == status, done.stderr
    _as_before(busy, pid)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_daemon_that_fails_as_it_ends_is_followed_by_one_that_finds_all(busy: Fire, fault: str) -> None:
    pid = busy.api.inspect("busy")["State"]["Pid"]
    for name in ENDING:
        busy.arm(name, fault)
        with pytest.raises(RuntimeError, match="ended with status"):
            busy.engine.stop()
    _as_before(busy, pid)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_check_that_fails_does_no_harm_and_succeeds_when_it_is_asked_again(busy: Fire, fault: str) -> None:
    pid = busy.api.inspect("busy")["State"]["Pid"]
    for name in CHECK:
        busy.arm(name, fault)
        with contextlib.suppress(Refused, OSError, http.client.HTTPException):
            busy.api("GET", "/wherry/check")
            pytest.fail(f"{name} was not reached")
        if fault.startswith("error"):
            assert busy.api("GET", "/wherry/check") == []
    busy.kill()
    _as_before(busy, pid)
    assert busy.api("GET", "/wherry/check") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mend_that_fails_is_told_and_succeeds_when_it_is_asked_again(busy: Fire, fault: str) -> None:
    pid = busy.api.inspect("busy")["State"]["Pid"]
    for name, plant in MENDS.items():
        busy.arm(name, fault)
        plant(Named(busy.where, busy.api("GET", "/info")["ID"]))
        if fault.startswith("error"):
            (told,) = busy.api("POST", "/wherry/repair")
            assert told["Mended"] or f"failpoint {name} is armed" in told["Error"]
        else:
            with pytest.raises((OSError, http.client.HTTPException)):
                busy.api("POST", "/wherry/repair")
            busy.kill()
            busy.start()
        assert all(found["Mended"] for found in busy.api("POST", "/wherry/repair"))
        assert busy.api("GET", "/wherry/check") == []
    busy.kill()
    _as_before(busy, pid)


def _repair_again_and_again(busy: Fire) -> None:
    for _ in range(200):
        busy.api("POST", "/wherry/repair")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_renewal_of_the_network_that_fails_is_told_and_does_no_harm(busy: Fire, fault: str) -> None:
    pid = busy.api.inspect("busy")["State"]["Pid"]
    busy.arm("network.renew", fault)
    with spoilt(Named(busy.where, busy.api("GET", "/info")["ID"])):
        if fault.startswith("error"):
            told = ""
            late = time.monotonic() + 20
            while "failpoint network.renew is armed" not in told:  # a look may come while something is under way
                assert time.monotonic() < late, told
                # whoever came first has met it: this repair, or the engine's own look at its rules
                told += str(busy.api("POST", "/wherry/repair")) + busy.where.log.read_text()
        else:
            with pytest.raises((OSError, http.client.HTTPException)):
                _repair_again_and_again(busy)
    busy.kill()
    _as_before(busy, pid)
    assert all(found["Mended"] for found in busy.api("POST", "/wherry/repair"))
    assert busy.api("GET", "/wherry/check") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_monitor_that_hangs_without_a_supervisor_is_ended_by_whichever_engine_comes_to_it(
    fire: Fire, fault: str
) -> None:
    fire.arm("processes.silent.kill", fault)
    fire.api.run("busy")
    for title, number in ((MONITOR_TITLE, signal.SIGSTOP), (SUPERVISOR_TITLE, signal.SIGKILL)):
        for process in tasks.descendants(os.getpid()):
            if title_of(process.pid) == title:
                os.kill(process.pid, number)
    if fault.startswith("kill"):
        eventually(lambda: not program_of(fire.engine.pid), 30)
        fire.kill()
        fire.start()
    eventually(lambda: fire.api.status("busy") == "exited", 40)
    assert fire.api.inspect("busy")["State"]["ExitCode"] == 255
    fire.api.run("next")
    assert fire.api("GET", "/wherry/check") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_paused_container_that_was_lost_is_thawed_by_whichever_engine_comes_to_it(fire: Fire, fault: str) -> None:
    """Its supervisor and monitor are killed while nobody looks: it is frozen, so it does not end by itself."""
    fire.api.run("frozen")
    fire.api("POST", "/containers/frozen/pause")
    pid = fire.api.inspect("frozen")["State"]["Pid"]
    fire.kill()
    for process in tasks.descendants(os.getpid()):
        if process.pid != pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
    armed = {**os.environ, "WHERRY_FAILPOINTS": f"container.end.thaw={fault}"}
    if fault.startswith("kill"):
        done = subprocess.run(fire.engine.command(), env=armed, capture_output=True, text=True, timeout=20)
        assert done.returncode == -signal.SIGKILL
        fire.start()
    else:
        fire.engine = Engine(fire.where, {"WHERRY_FAILPOINTS": f"container.end.thaw={fault}"})
    eventually(lambda: fire.api.status("frozen") == "exited")
    assert fire.api.inspect("frozen")["State"]["ExitCode"] == 255
    assert fire.api("GET", "/wherry/check") == []
