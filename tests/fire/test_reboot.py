"""A restart of the host, as an engine meets it: processes, mounts, links and rules are gone, and the boot id is another.

Engine and containers live in mount and network namespaces of their own, which end with them as the kernel's state does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.engine import Places
from tests.fire.daemon import BACK, Fire, eventually, on_fire

from wherry.linux import cgroups
from wherry.testing import tasks
from wherry.testing.fixtures import HostLedger
from wherry.testing.ledger import reap_orphans

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]

# What dockerd 20.10 makes of each container: (its policy, what it was, what it is afterwards, its exit code then).
DOCKERS = {
    "runs": ("no", "running", "exited", 255),
    "always": ("always", "running", "running", 0),
    "unless": ("unless-stopped", "running", "running", 0),
    "failure": ("on-failure", "running", "running", 0),
    "failed-enough": ("on-failure", "failed", "exited", 3),
    "succeeded": ("on-failure", "succeeded", "exited", 0),
    "always-stopped": ("always", "stopped", "running", 0),
    "unless-stopped": ("unless-stopped", "stopped", "exited", 137),
    "failure-stopped": ("on-failure", "stopped", "running", 0),
    "never-started": ("always", "created", "created", 0),
    "paused": ("unless-stopped", "paused", "running", 0),
}
INSIDE = 'ip link set lo up; mount --bind "$0" /proc/sys/kernel/random/boot_id; exec "$@"'


def _new_boot(where: Places) -> None:
    (where.top / "boot_id").write_text(f"{uuid.uuid4()}\n")


def _prefix(where: Places) -> tuple[str, ...]:
    _new_boot(where)
    return ("unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", INSIDE, str(where.top / "boot_id"))


@pytest.fixture
def host(host_ledger: HostLedger) -> Iterator[Fire]:
    with on_fire(_prefix) as found:
        yield found


def _lose_power(fire: Fire, *, keep_exec_root: bool) -> None:
    parent = _cgroup(fire.api.inspect("runs")["State"]["Pid"])
    frozen = fire.api.inspect("paused")["Id"]
    fire.engine.kill()
    for process in tasks.descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    cgroups.thaw(f"{parent}/{frozen}")  # a host that loses its power does not wait for the frozen
    eventually(_all_ended)
    cgroups.remove_group(parent)
    if not keep_exec_root:
        shutil.rmtree(fire.where.run)
    fire.where.socket.unlink()
    _new_boot(fire.where)


def _all_ended() -> bool:
    reap_orphans([])
    return not tasks.descendants(os.getpid())


def _cgroup(pid: int) -> str:
    """The group above a container's."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(path for line in lines if "/wherry-" in (path := line.split(":", 2)[2])).rpartition("/")[0]


def _inside(fire: Fire, *command: str) -> str:
    target = f"--target={fire.engine.pid}"
    return subprocess.run(
        ["nsenter", "--mount", "--net", target, *command], check=True, capture_output=True, text=True
    ).stdout


def _make(fire: Fire) -> None:
    fire.api("POST", "/volumes/create", {"Name": "ram", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}})
    more: dict[str, Any] = {
        "NetworkMode": "bridge",
        "Binds": ["ram:/ram", "kept:/kept"],
        "PortBindings": {"80/tcp": [{"HostPort": "18088"}]},
    }
    for name, (policy, was, _, _) in DOCKERS.items():
        if was == "created":
            fire.api.create(name, RestartPolicy={"Name": policy})
            continue
        command = {"failed": "exit 3", "succeeded": "exit 0"}.get(was, "exec sleep 1000")
        given = {"most": 1} if was == "failed" else more if name == "always" else {}
        fire.api.run(name, command, policy=policy, **given)
        if was in ("stopped", "paused"):
            fire.api("POST", f"/containers/{name}/{was.removesuffix('ped').removesuffix('d')}")
    eventually(
        lambda: fire.api.inspect("failed-enough")["RestartCount"] == 1 and fire.api.status("failed-enough") == "exited"
    )


@pytest.mark.parametrize("keep_exec_root", [False, True], ids=["exec-root-in-memory", "exec-root-on-a-disk"])
def test_after_a_restart_of_the_host_all_is_as_dockerd_has_it_and_nothing_old_is_left(
    host: Fire, keep_exec_root: bool
) -> None:
    _make(host)
    _lose_power(host, keep_exec_root=keep_exec_root)
    assert host.start() <= BACK
    found = {}
    for name, (policy, was, status, _) in DOCKERS.items():
        eventually(lambda n=name, s=status: host.api.status(n) == s)  # type: ignore[misc]
        state = host.api.inspect(name)["State"]
        found[name] = (policy, was, state["Status"], state["ExitCode"])
    assert found == DOCKERS
    assert "nobody could see it" in host.api.inspect("runs")["State"]["Error"]
    running = {host.api.inspect(name)["Id"] for name, (_, _, status, _) in DOCKERS.items() if status == "running"}
    mounted = {line.split()[1] for line in _inside(host, "cat", "/proc/mounts").splitlines()}
    assert {m.rpartition("/")[2] for m in mounted if m.startswith(f"{host.where.data}/mounts/")} == running
    assert {m.rpartition("/")[2] for m in mounted if m.startswith(f"{host.where.data}/volume-mounts/")} == {"ram"}
    assert {path.name for path in (host.where.run / "bundles").iterdir()} == running
    assert {path.name for path in (host.where.run / "netns").iterdir()} == running
    assert "18088" in _inside(host, "nft", "list", "ruleset")
    assert host.api("GET", "/containers/always/json")["NetworkSettings"]["IPAddress"]


def test_the_same_boot_is_no_restart_of_the_host(host: Fire) -> None:
    host.api.run("one")
    pid = host.api.inspect("one")["State"]["Pid"]
    host.prefix = ("nsenter", "--mount", "--net", f"--target={pid_of_supervisor(host)}")
    host.kill()
    host.start()
    assert host.api.inspect("one")["State"]["Pid"] == pid


def pid_of_supervisor(fire: Fire) -> int:
    """A process of ours that outlives wherryd, to find its namespaces by."""
    for process in tasks.descendants(os.getpid()):
        if Path(f"/proc/{process.pid}/comm").read_text().startswith("wherry-s"):
            return process.pid
    raise AssertionError(sys.platform)
