"""Keys of the configuration, each doing what it says, on one engine that was given them all."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.engine import remove_cgroups
from tests.end_to_end.daemon_lab import Lab, lab

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]
NO_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
}
# Runs runc, and notes what it was called with.
NOTING = '#!/bin/sh\necho "$@" >> {notes}\nexec runc "$@"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    (made / "no-mkdir.json").write_text(json.dumps(NO_MKDIR))
    (made / "noting").write_text(NOTING.format(notes=made / "notes"))
    (made / "noting").chmod(0o755)
    init = shutil.which("tini-static") or shutil.which("docker-init")
    assert init, "install tini"
    shutil.copy(init, made / "my-init")
    return made


@pytest.fixture(scope="module")
def group() -> Iterator[str]:
    name = f"keys-{secrets.token_hex(4)}"
    yield name
    remove_cgroups(name)


@pytest.fixture(scope="module")
def full(folder: Path, group: str) -> Iterator[Lab]:
    """An engine with most of the keys."""
    values = {
        "runtimes": {
            "noting": {"path": str(folder / "noting"), "runtimeArgs": ["--log-format=json"]},
            "mycrun": {"path": "crun"},
            "lost": {"path": str(folder / "lost")},
        },
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": group,
        "init-path": str(folder / "my-init"),
        "seccomp-profile": str(folder / "no-mkdir.json"),
        "default-ipc-mode": "shareable",
        "default-cgroupns-mode": "host",
        "host-gateway-ip": "192.0.2.7",
        "bip": "10.213.0.1/24",
        "fixed-cidr": "10.213.0.128/26",
        "default-gateway": "10.213.0.190",
        "mtu": 1400,
        "icc": False,
        "ip": "127.0.0.1",
        "ip-masq": False,
        "userland-proxy": False,
        "default-address-pools": [{"base": "10.214.0.0/16", "size": 24}],
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1234"}},
        "registry-mirrors": ["https://mirror.example"],
        "insecure-registries": ["registry.example:5000", "192.0.2.0/24"],
        "proxies": {"http-proxy": "http://proxy.example:3128", "no-proxy": "localhost"},
        "max-concurrent-downloads": 5,
        "experimental": True,
        "features": {"buildkit": True},
        "log-format": "json",
    }
    ledger = HostLedger()
    with lab(values, "--label", "rack=7") as made:
        yield made
    remove_cgroups(group)
    if lines := ledger.settled():
        pytest.fail("the engine left the host changed:\n  " + "\n  ".join(lines), pytrace=False)


def test_configured_runtimes_run_containers_with_their_arguments(full: Lab, folder: Path) -> None:
    runtimes = full.info()["Runtimes"]
    assert runtimes["noting"] == {"path": str(folder / "noting"), "runtimeArgs": ["--log-format=json"]}
    assert runtimes["mycrun"] == {"path": "crun"}
    assert full.docker("run", "--name", "noted", "--runtime", "noting", "busybox", "echo", "ran") == "ran"
    called = [line.split() for line in (folder / "notes").read_text().splitlines() if " create " in line]
    assert called
    assert called[0][0] == "--log-format=json"
    assert full.shows("inspect", "noted")["HostConfig"]["Runtime"] == "noting"
    assert full.docker("run", "--rm", "--runtime", "mycrun", "busybox", "echo", "ran") == "ran"
    full.docker("run", "-d", "--name", "lasting", "--runtime", "noting", "busybox", "sleep", "1000")
    assert full.docker("exec", "lasting", "echo", "in") == "in"
    full.docker("rm", "-f", "lasting")


def test_a_runtime_that_is_not_there_is_refused(full: Lab, folder: Path) -> None:
    assert "unknown or invalid runtime name: nosuch" in full.fails("run", "--runtime", "nosuch", "busybox", "true")
    assert f"there is no {folder / 'lost'} on this host" in full.fails("create", "--runtime", "lost", "busybox", "true")


def test_containers_are_below_the_configured_control_group(full: Lab, group: str) -> None:
    full.docker("run", "-d", "--name", "grouped", "busybox", "sleep", "1000")
    pid = full.shows("inspect", "grouped")["State"]["Pid"]
    assert f"/{group}/wherry-" in Path(f"/proc/{pid}/cgroup").read_text()
    full.docker("pause", "grouped")
    assert full.shows("inspect", "grouped")["State"]["Status"] == "paused"
    full.docker("unpause", "grouped")
    assert "sleep 1000" in full.docker("top", "grouped")
    full.docker("rm", "-f", "grouped")


def test_what_containers_leave_open_is_filled_in(full: Lab, folder: Path) -> None:
    full.docker("create", "--name", "open", "busybox", "true")
    host = full.shows("inspect", "open")["HostConfig"]
    assert (host["IpcMode"], host["CgroupnsMode"]) == ("shareable", "host")
    full.docker("create", "--name", "said", "--ipc", "private", "--cgroupns", "private", "busybox", "true")
    host = full.shows("inspect", "said")["HostConfig"]
    assert (host["IpcMode"], host["CgroupnsMode"]) == ("private", "private")
    assert full.info()["InitBinary"] == "my-init"
    line = full.docker("run", "--rm", "--init", "busybox", "sh", "-c", "grep -c docker-init /proc/1/cmdline")
    assert line == "1"
    hosts = full.docker("run", "--rm", "--add-host", "outside:host-gateway", "busybox", "cat", "/etc/hosts")
    assert "192.0.2.7\toutside" in hosts


def test_the_seccomp_profile_holds_unless_a_container_names_another(full: Lab, folder: Path) -> None:
    assert "Operation not permitted" in full.fails("run", "--rm", "busybox", "mkdir", "/a")
    full.docker("run", "--rm", "--security-opt", "seccomp=builtin", "busybox", "mkdir", "/a")
    full.docker("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "mkdir", "/a")
    full.docker("run", "--rm", "--privileged", "busybox", "mkdir", "/a")
    assert f"name=seccomp,profile={folder / 'no-mkdir.json'}" in full.info()["SecurityOptions"]


def test_the_default_network_is_as_configured(full: Lab) -> None:
    network = full.shows("network", "inspect", "bridge")
    (pool,) = network["IPAM"]["Config"]
    assert (pool["Subnet"], pool["Gateway"], pool["IPRange"]) == ("10.213.0.0/24", "10.213.0.1", "10.213.0.128/26")
    options = network["Options"]
    prefix = "com.docker.network.bridge"
    assert (options[f"{prefix}.enable_icc"], options[f"{prefix}.enable_ip_masquerade"]) == ("false", "false")
    script = "ip -4 -o addr show eth0; ip route; cat /sys/class/net/eth0/mtu"
    address, *rest = full.docker("run", "--rm", "busybox", "sh", "-c", script).splitlines()
    assert 128 <= int(address.split()[3].partition("/")[0].rpartition(".")[2]) < 190
    assert rest[0].split()[:3] == ["default", "via", "10.213.0.190"]
    assert rest[-1] == "1400"
    full.docker("run", "-d", "--name", "silent", "busybox", "sleep", "1000")
    other = full.shows("inspect", "silent")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert "100% packet loss" in full.call("run", "--rm", "busybox", "ping", "-c1", "-W1", other).stdout
    full.docker("run", "-d", "--name", "public", "-p", "80", "busybox", "sleep", "1000")
    (binding,) = full.shows("inspect", "public")["NetworkSettings"]["Ports"]["80/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    full.docker("rm", "-f", "silent", "public")


def test_new_networks_come_from_the_configured_pools_with_the_configured_options(full: Lab) -> None:
    full.docker("network", "create", "one")
    full.docker("network", "create", "-o", "com.docker.network.driver.mtu=1300", "two")
    one, two = (full.shows("network", "inspect", name) for name in ("one", "two"))
    assert [n["IPAM"]["Config"][0]["Subnet"] for n in (one, two)] == ["10.214.0.0/24", "10.214.1.0/24"]
    assert [n["Options"]["com.docker.network.driver.mtu"] for n in (one, two)] == ["1234", "1300"]
    assert full.info()["DefaultAddressPools"] == [{"Base": "10.214.0.0/16", "Size": 24}]
    full.docker("network", "rm", "one", "two")


def test_info_and_version_show_what_is_only_to_be_shown(full: Lab) -> None:
    info = full.info()
    registries = info["RegistryConfig"]
    assert registries["Mirrors"] == ["https://mirror.example/"]
    assert registries["InsecureRegistryCIDRs"] == ["::1/128", "127.0.0.0/8", "192.0.2.0/24"]
    assert registries["IndexConfigs"]["registry.example:5000"]["Secure"] is False
    assert (info["HttpProxy"], info["HttpsProxy"], info["NoProxy"]) == ("http://proxy.example:3128", "", "localhost")
    assert (info["Labels"], info["ExperimentalBuild"], info["CgroupDriver"]) == (["rack=7"], True, "cgroupfs")
    assert full.docker("version", "--format", "{{.Server.Experimental}}") == "true"


def test_the_log_is_lines_of_json_and_tells_which_keys_do_nothing(full: Lab) -> None:
    lines = [json.loads(line) for line in full.where.log.read_text().splitlines()]
    assert {"time", "level", "logger", "msg"} <= lines[0].keys()
    idle = "insecure-registries, max-concurrent-downloads, proxies, registry-mirrors"
    assert {"level": "warning", "msg": f"without effect so far: {idle}"}.items() <= next(
        line.items() for line in lines if "without effect" in line["msg"]
    )
