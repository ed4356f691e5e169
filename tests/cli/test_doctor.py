"""wherry doctor: what it finds on hosts that lack something, and what it says of this one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.client import Client
from tests.cli.fake_daemon import FakeDaemon

from wherry.linux import mountinfo
from wherry_cli import host_checks
from wherry_cli.host_checks import BAD, GOOD, WARNING, Finding, Host


def found(check: host_checks.Check, root: Path) -> dict[str, Finding]:
    return {finding.topic: finding for finding in check(Host(root / "data", root))}


def put(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_kernel_without_overlay_or_seccomp_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"release": "5.10.0-21-amd64"}))
    findings = found(host_checks.kernel, tmp_path)
    assert (findings["kernel"].state, findings["overlay"].state, findings["seccomp"].state) == (WARNING, BAD, BAD)
    put(tmp_path, "lib/modules/5.10.0-21-amd64/kernel/fs/overlayfs/overlay.ko")
    assert found(host_checks.kernel, tmp_path)["overlay"].mend == "modprobe overlay"
    put(tmp_path, "proc/filesystems", "nodev\tproc\n\text4\nnodev\toverlay\n")
    put(tmp_path, "proc/sys/kernel/seccomp/actions_avail", "kill_process errno allow")
    findings = found(host_checks.kernel, tmp_path)
    assert (findings["overlay"].state, findings["seccomp"].state) == (GOOD, GOOD)


def test_missing_controllers_are_named(tmp_path: Path) -> None:
    put(tmp_path, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids")
    finding = found(host_checks.control_groups, tmp_path)["cgroups"]
    assert (finding.state, "without memory" in finding.text) == (WARNING, True)
    assert "cgroup_enable=memory" in finding.mend
    put(tmp_path, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids")
    assert found(host_checks.control_groups, tmp_path)["cgroups"].state == GOOD


def test_missing_programs_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_checks, "find", lambda name: None)
    findings = found(host_checks.programs, tmp_path)
    assert (findings["runtime"].state, findings["runtime"].mend) == (BAD, "apt-get install crun runc")
    assert (findings["nftables"].state, findings["nftables"].mend) == (BAD, "apt-get install libnftables1")


@pytest.mark.parametrize(("kind", "state"), [("overlay", BAD), ("fuse.sshfs", BAD), ("tmpfs", WARNING), ("xfs", GOOD)])
def test_a_data_root_on_an_unfit_file_system_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    (root,) = [info for info in mountinfo.mounts() if info.target == "/"][-1:]
    monkeypatch.setattr(host_checks, "mounts", lambda: [root, root._replace(target=str(tmp_path), kind=kind)])
    assert found(host_checks.disk, tmp_path)["data root"].state == state


def test_packets_that_pass_foreign_rules_are_told(tmp_path: Path) -> None:
    put(tmp_path, "proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")
    assert found(host_checks.network, tmp_path)["br_netfilter"].mend.startswith("sysctl net.bridge.bridge-nf-call")


def test_the_engines_warnings_are_among_the_findings(wherry: Client, daemon: FakeDaemon) -> None:
    daemon.on("GET", "/info", {"ServerVersion": "9.8", "Warnings": ["WARNING: another firewall drops our packets"]})
    ran = wherry("doctor", "--data-root", "/")
    assert ran.status == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert f"ok engine version 9.8 answers at {daemon.url}" in lines
    assert "warning engine another firewall drops our packets" in lines


def test_without_an_engine_it_looks_at_the_host_all_the_same(wherry: Client) -> None:
    ran = Client([*wherry.command[:2], "unix:///nowhere"], "wherry")("doctor")
    assert "engine" in ran.out
    assert "none answers: Cannot connect" in ran.out
    assert "-> Start wherryd" in ran.out
