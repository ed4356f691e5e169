"""Keys of Docker's that change nothing here, or can only be left as they are: what each comes to, and that its value is heard."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from scripts.engine import ROOT
from tests.end_to_end.daemon_lab import Lab, lab

from wherry.testing import tasks
from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.timeout(120)]
WHERRYD = str(ROOT / ".venv/bin/wherryd")
BOTH = pytest.mark.parametrize("value", [True, False])


def validated(folder: Path, values: dict[str, Any], *flags: str) -> tuple[int, str]:
    """The status of `wherryd --validate` of these values, and what it says."""
    file = folder / "daemon.json"
    file.write_text(json.dumps(values))
    command = [WHERRYD, "--validate", "--config-file", str(file), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout + done.stderr


def reaches(world: Lab, address: str, port: str, *, inside: str = "") -> str:
    """What is served there, seen from the host or from inside a container."""
    if inside:
        return world.docker("exec", inside, "wget", "-qO-", f"http://{address}:{port}/")
    fetch = ["busybox", "wget", "-qO-", f"http://{address}:{port}/"]
    return subprocess.run(fetch, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def listed(world: Lab) -> str:
    """The engine's rules."""
    command = ["nft", "-a", "list", "table", "ip", f"wherry_{world.info()['ID']}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout


@BOTH
def test_ports_are_reached_from_everywhere_and_without_a_process_whatever_userland_proxy_says(
    host_ledger: HostLedger, value: bool
) -> None:
    with lab({"userland-proxy": value}) as world:
        serve = "echo page > /index.html; httpd -f -h /"
        words = ("run", "-d", "--stop-signal", "KILL", "busybox", "sh", "-c", serve)
        before = {process.pid for process in tasks.descendants(world.engine.pid)}
        world.docker(*words[:2], "--name", "web", "-p", "80", "-p", "127.0.0.1::81", *words[2:])
        world.docker(*words[:2], "--name", "other", *words[2:])
        made = {process.pid for process in tasks.descendants(world.engine.pid)} - before
        own = {world.shows("inspect", name)["State"]["Pid"] for name in ("web", "other")}
        assert made == own  # none for the ports
        network = world.shows("inspect", "web")["NetworkSettings"]
        port = network["Ports"]["80/tcp"][0]["HostPort"]
        gateway = network["Networks"]["bridge"]["Gateway"]
        for place in ("127.0.0.1", gateway):
            assert reaches(world, place, port) == "page"
        for inside in ("web", "other"):  # the first comes back to itself
            assert reaches(world, gateway, port, inside=inside) == "page"
        assert network["Ports"]["81/tcp"][0]["HostIp"] == "127.0.0.1"


def test_the_switch_buildkit_changes_nothing_that_clients_see(host_ledger: HostLedger) -> None:
    seen = []
    for values in (
        {},
        {"features": {"buildkit": True}},
        {"features": {"buildkit": False, "containerd-snapshotter": False}},
    ):
        with lab(values) as world:
            curl = ["curl", "-sI", "--unix-socket", str(world.where.socket), "http://engine/_ping"]
            head = subprocess.run(curl, capture_output=True, text=True, timeout=20, check=True).stdout
            told = {"ID", "SystemTime", "Name", "DockerRootDir", "NFd", "NGoroutines", "MemTotal"}
            info = {key: value for key, value in world.info().items() if key not in told}
            seen.append(
                (re.sub(r"(?m)^Date:.*$", "", head), info, world.docker("version", "--format", "{{json .Server}}"))
            )
    assert seen[0] == seen[1] == seen[2]


def test_a_feature_that_is_not_there_can_be_off_and_not_on(tmp_path: Path) -> None:
    assert validated(tmp_path, {"features": {"containerd-snapshotter": False, "cdi": False}})[0] == 0
    status, told = validated(tmp_path, {"features": {"cdi": True}})
    assert status == 1
    assert "features: cdi cannot be switched on: this engine has no such feature; leave it out" in told
    assert "features" in validated(tmp_path, {"features": {"cdi": "yes"}})[1]


@pytest.mark.parametrize("key", ["iptables", "ip6tables"])
def test_the_firewalls_switches_are_true_or_refused_in_words(tmp_path: Path, key: str) -> None:
    for values, flags in (({key: True}, ()), ({}, (f"--{key}",)), ({}, (f"--{key}=true",))):
        assert validated(tmp_path, values, *flags)[0] == 0
    for values, flags in (({key: False}, ()), ({}, (f"--{key}=false",))):
        status, told = validated(tmp_path, values, *flags)
        assert status == 1
        assert f"{key}: false is not supported: this engine's rules are nftables'" in told
        assert "ip-masq and icc switch parts of them off" in told


def test_rules_are_there_with_and_without_the_switches_and_a_refused_one_changes_nothing(
    host_ledger: HostLedger,
) -> None:
    tables = []
    for values in ({}, {"iptables": True, "ip6tables": True}):
        with lab(values) as world:
            world.docker(
                "run",
                "-d",
                "--name",
                "web",
                "-p",
                "127.0.0.1:8099:80",
                "--stop-signal",
                "KILL",
                "busybox",
                "sleep",
                "1000",
            )
            rules = listed(world)
            tables.append(sorted(re.sub(r" # handle \d+|wbr[0-9a-f]+|wherry_[0-9a-f]+", "", rules).splitlines()))
            assert "dnat" in rules
            if values:
                world.file.write_text(json.dumps({"iptables": False}))
                os.kill(world.engine.pid, signal.SIGHUP)
                late = time.monotonic() + 10
                while not world.told("iptables: false is not supported"):
                    assert time.monotonic() < late, world.engine.log_tail()
                    time.sleep(0.02)
                assert listed(world) == rules
    assert tables[0] == tables[1]
