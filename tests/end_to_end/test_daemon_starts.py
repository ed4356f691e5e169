"""Keys of the configuration that a reload or the next start changes, and what ends a start."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from scripts.engine import ROOT, Engine, workplace
from tests.end_to_end.daemon_lab import lab

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]


def test_a_reload_changes_runtimes_mirrors_and_the_default_runtime(host_ledger: HostLedger) -> None:
    with lab({}) as small:
        assert "own" not in small.info()["Runtimes"]
        small.reload(
            {"runtimes": {"own": {"path": "runc"}}, "default-runtime": "own", "registry-mirrors": ["http://m"]}
        )
        info = small.info()
        assert (info["DefaultRuntime"], info["Runtimes"]["own"]) == ("own", {"path": "runc"})
        assert info["RegistryConfig"]["Mirrors"] == ["http://m/"]
        small.docker("run", "--name", "by-own", "busybox", "true")
        assert small.shows("inspect", "by-own")["HostConfig"]["Runtime"] == "own"
        small.reload({})
        assert "unknown or invalid runtime name: own" in small.fails("start", "by-own")


def test_a_restart_changes_the_default_network_unless_containers_are_in_it(host_ledger: HostLedger) -> None:
    def subnet() -> str:
        return str(small.shows("network", "inspect", "bridge")["IPAM"]["Config"][0]["Subnet"])

    with lab({"bip": "10.215.0.1/24"}) as small:
        before = small.shows("network", "inspect", "bridge")["Id"]
        small.docker("run", "-d", "--name", "lasting", "busybox", "sleep", "1000")
        small.engine.stop()
        small.start({"bip": "10.216.0.1/24", "mtu": 1400})
        assert (subnet(), small.told("the default network stays as it is")) == ("10.215.0.0/24", 1)
        small.docker("rm", "-f", "lasting")
        small.engine.stop()
        small.start({"bip": "10.216.0.1/24", "mtu": 1400})
        assert (subnet(), small.shows("network", "inspect", "bridge")["Id"]) == ("10.216.0.0/24", before)
        assert small.docker("run", "--rm", "busybox", "cat", "/sys/class/net/eth0/mtu") == "1400"
        small.engine.stop()
        small.start({})
        assert subnet() == "10.216.0.0/24"
        assert small.docker("run", "--rm", "busybox", "cat", "/sys/class/net/eth0/mtu") == "1500"


def test_a_restart_that_changes_nothing_says_nothing_of_the_default_network(host_ledger: HostLedger) -> None:
    with lab({}) as small:
        small.docker("run", "-d", "--name", "lasting", "busybox", "sleep", "1000")
        small.engine.stop()
        small.start({})
        assert small.told("the default network stays as it is") == 0


def test_without_a_default_network_containers_have_none(host_ledger: HostLedger) -> None:
    with lab({}) as small:
        small.engine.stop()
        small.start({"bridge": "none"})
        assert small.docker("network", "ls", "--format", "{{.Name}}").split() == ["host", "none"]
        small.docker("run", "--name", "alone", "busybox", "true")
        assert small.shows("inspect", "alone")["HostConfig"]["NetworkMode"] == "none"
        assert "network bridge not found" in small.fails("run", "--network", "bridge", "busybox", "true")
        text = small.fails("run", "--add-host", "outside:host-gateway", "busybox", "true")
        assert "unable to derive the IP value for host-gateway" in text
        small.docker("rm", "-f", "alone")
        small.engine.stop()
        small.start({})
        assert small.docker("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none"]


def test_forwarding_is_left_alone_where_the_host_sees_to_it(host_ledger: HostLedger) -> None:
    script = 'echo 0 > /proc/sys/net/ipv4/ip_forward; exec "$@"'
    apart = ("unshare", "--net", "sh", "-c", script, "sh")  # a network of its own, whose forwarding is off
    with lab({"ip-forward": False}, prefix=apart) as small:
        info = small.info()
        assert info["IPv4Forwarding"] is False
        assert "WARNING: IPv4 forwarding is disabled" in info["Warnings"]
        small.engine.stop()
        small.start({})
        assert small.info()["IPv4Forwarding"] is True


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"default-runtime": "nosuch"}, "unknown or invalid runtime name: nosuch"),
        ({"storage-opts": ["overlay2.nosuch=1"]}, "nosuch"),
        (
            {"log-opts": {"max-sise": "10m"}},
            "failed to set log opts: unknown log opt 'max-sise' for json-file log driver; known are compress, env",
        ),
        ({"log-driver": "local", "log-opts": {"tag": "x"}}, "unknown log opt 'tag' for local log driver"),
    ],
)
def test_what_only_the_start_can_know_ends_it_with_the_reason(
    host_ledger: HostLedger, values: dict[str, Any], fault: str
) -> None:
    with workplace() as where:
        (where.top / "daemon.json").write_text(json.dumps(values))
        with pytest.raises(RuntimeError) as caught:
            Engine(where, arguments=("--config-file", str(where.top / "daemon.json")))
        assert fault in str(caught.value)
        # the next start finds all that this one left
        engine = Engine(where)
        engine.stop()


def test_a_pidfile_of_a_daemon_that_lives_is_not_taken_over(host_ledger: HostLedger) -> None:
    with lab({}) as small, workplace() as other:
        words = (
            "--data-root",
            other.data,
            "--exec-root",
            other.run,
            "-H",
            other.host,
            "--pidfile",
            small.where.pidfile,
        )
        command = [str(word) for word in (ROOT / ".venv/bin/wherryd", *words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert f"process with PID {small.engine.pid} is still running" in done.stderr
        assert small.where.pidfile.read_text() == f"{small.engine.pid}\n"
