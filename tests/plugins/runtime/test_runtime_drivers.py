"""crun and runc with real containers: what the bundle says is what a process in the container finds."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.plugins.runtime.conftest import load

from wherry.errors import Unavailable, Unsupported
from wherry.linux import cgroups, programs
from wherry.linux.users import User
from wherry.model.configs import Config, DeviceMapping, HostConfig, Resources, Ulimit
from wherry.spec.runtime import RuntimeDriver
from wherry_engine.engine.bundle import BundleMount
from wherry_engine.loader.load import Driver
from wherry_runtime.crun import driver as crun_driver

if TYPE_CHECKING:
    from tests.plugins.runtime.conftest import Box

DEFAULT = "00000000a80425fb"  # Docker's fourteen capabilities
STATUS = "grep -E '^(CapBnd|CapEff|CapPrm|CapInh|CapAmb|Seccomp|NoNewPrivs):' /proc/self/status"


def status(lines: list[str]) -> dict[str, str]:
    """/proc/self/status as printed by STATUS."""
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines) if value}


def test_probe_names_the_program_and_its_version(driver: Driver[RuntimeDriver]) -> None:
    runtime = driver.hook.probe()
    assert os.path.isabs(runtime.argv[0])
    assert os.path.basename(runtime.argv[0]) == driver.name
    assert runtime.version[0].isdecimal()
    assert runtime.hide_unified_cgroup is (
        driver.name == "crun" and Path("/sys/fs/cgroup/unified/cgroup.procs").exists()
    )


def test_a_missing_program_is_unsupported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None)
    for name in ("crun", "runc"):
        with pytest.raises(Unsupported, match=f"there is no {name} on this host; install the package {name}"):
            load(name, tmp_path).hook.probe()


def test_a_crun_without_seccomp_is_unsupported(crun: Driver[RuntimeDriver], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crun_driver, "output", lambda argv: "crun version 1.8\n+SYSTEMD +CAP\n")
    with pytest.raises(Unsupported, match="is built without seccomp"):
        crun.hook.probe()


def test_programs_that_fail_or_hang_are_unavailable() -> None:
    assert programs.find("no-such-program-here") is None
    shell = programs.find("sh")
    assert shell is not None
    assert programs.output([shell, "-c", "echo hello"]) == "hello\n"
    with pytest.raises(Unavailable, match="failed with status 3: no"):
        programs.output([shell, "-c", "echo no >&2; exit 3"])
    with pytest.raises(Unavailable, match="does not answer"):
        programs.output([shell, "-c", "exec sleep 5"], seconds=0.1)


def test_crun_gets_a_ready_filter_only_for_the_default_profile(crun: Driver[RuntimeDriver], box: Box) -> None:
    plain = box.config("true")
    adapted = crun.hook.adapt(config=plain)
    assert plain["linux"]["seccomp"]["syscalls"]  # unchanged
    assert adapted["linux"]["seccomp"] == crun_driver.REFUSE_ALL
    assert len(base64.b64decode(adapted["annotations"][crun_driver.ANNOTATION])) % 8 == 0
    assert crun.hook.adapt(config=adapted) == adapted
    profile = json.dumps({"defaultAction": "SCMP_ACT_ALLOW"})
    for option in ("unconfined", profile):
        other = box.config("true", host=HostConfig(security_opt=(f"seccomp={option}",)))
        assert crun.hook.adapt(config=other) == other


def test_annotations_of_the_container_stay(crun: Driver[RuntimeDriver], box: Box) -> None:
    adapted = crun.hook.adapt(config=box.config("true", host=HostConfig(annotations={"a": "b"})))
    assert adapted["annotations"].keys() == {"a", crun_driver.ANNOTATION}


@pytest.mark.root
def test_a_container_starts_with_dockers_defaults(driver: Driver[RuntimeDriver], box: Box) -> None:
    script = (
        f"{STATUS}; cat /proc/keys; ls /sys/firmware; hostname; echo 1 >/proc/sys/kernel/msgmax; env;"
        " for n in 3 4 5 6 7 8 9 11 12; do test -e /proc/$$/fd/$n && echo descriptor $n; done"
    )
    done = box.run(driver, box.config("sh", "-c", script))
    found = status(done.lines)
    assert found["CapBnd"] == found["CapEff"] == found["CapPrm"] == DEFAULT
    assert found["CapInh"] == found["CapAmb"] == "0" * 16
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", "0")
    after = done.lines[7:]
    assert after[0] == "box"  # /proc/keys and /sys/firmware are empty
    assert "HOME=/root" in after
    assert "HOSTNAME=box" in after
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in after
    assert "msgmax: Read-only file system" in done.stderr
    assert not any(line.startswith("descriptor") for line in after)


@pytest.mark.root
def test_a_new_user_namespace_is_refused(driver: Driver[RuntimeDriver], box: Box) -> None:
    done = box.run(driver, box.config("unshare", "-U", "true"))
    assert done.status == 1
    assert "Operation not permitted" in done.stderr


@pytest.mark.root
def test_privileged_lifts_what_is_closed(driver: Driver[RuntimeDriver], box: Box) -> None:
    script = f"{STATUS}; touch /sys/fs/cgroup && mount | grep -E '^(sysfs|cgroup) ' | grep -c '[(,]ro[,)]'; ls /dev/loop-control"
    done = box.run(driver, box.config("sh", "-c", script, host=HostConfig(privileged=True)))
    found = status(done.lines[:7])
    mine = Path("/proc/self/status").read_text()
    assert f"CapEff:\t{found['CapEff']}" in mine
    assert found["Seccomp"] == "0"
    assert done.lines[7:] == ["0", "/dev/loop-control"]


@pytest.mark.root
def test_another_user_has_no_capability_in_effect(driver: Driver[RuntimeDriver], box: Box) -> None:
    done = box.run(driver, box.config("sh", "-c", f"id; {STATUS}", user=User(1000, 100, (100, 20), "/home/u")))
    assert done.lines[0].startswith("uid=1000 gid=100 groups=")
    assert set(done.lines[0].rpartition("=")[2].split(",")) == {"100", "20"}
    found = status(done.lines[1:])
    assert (found["CapEff"], found["CapPrm"], found["CapBnd"]) == ("0" * 16, "0" * 16, DEFAULT)


@pytest.mark.root
@pytest.mark.skipif(cgroups.version() != 1, reason="the files of version 1")
def test_limits_arrive_in_the_containers_cgroups(driver: Driver[RuntimeDriver], box: Box) -> None:
    files = "memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us pids/pids.max cpuset/cpuset.cpus"
    resources = Resources(memory=64 << 20, nano_cpus=1_500_000_000, pids_limit=44, cpuset_cpus="0")
    config = box.config("sh", "-c", f"cd /sys/fs/cgroup && cat {files}", host=HostConfig(resources=resources))
    assert box.run(driver, config).lines == [str(64 << 20), "150000", "100000", "44", "0"]


@pytest.mark.root
def test_small_settings_arrive(driver: Driver[RuntimeDriver], box: Box) -> None:
    host = HostConfig(
        readonly_rootfs=True,
        oom_score_adj=100,
        security_opt=("no-new-privileges",),
        sysctls={"kernel.msgmax": "1234"},
        tmpfs={"/tmp": "size=1m,exec"},
        shm_size=1 << 20,
        resources=Resources(ulimits=(Ulimit(name="nofile", soft=77, hard=88),)),
    )
    script = (
        "ulimit -n; cat /proc/self/oom_score_adj /proc/sys/kernel/msgmax; grep NoNew /proc/self/status; touch /x; touch /tmp/t;"
        " mount | grep -E ' /tmp | /dev/shm '; test -d /no/such/folder && echo made"
    )
    config = box.config("sh", "-c", script, host=host, config=Config(working_dir="/tmp"))
    done = box.run(driver, config)
    assert done.lines[:4] == ["77", "100", "1234", "NoNewPrivs:\t1"]
    assert "/x: Read-only file system" in done.stderr
    mounts = "\n".join(done.lines[4:])
    assert "shm on /dev/shm type tmpfs (rw,nosuid,nodev,noexec,relatime,size=1024k" in mounts
    assert "tmpfs on /tmp type tmpfs (rw,nosuid,nodev,relatime,size=1024k" in mounts


@pytest.mark.root
def test_a_working_directory_that_is_missing_is_made(driver: Driver[RuntimeDriver], box: Box) -> None:
    done = box.run(driver, box.config("sh", "-c", "pwd", config=Config(working_dir="/deep/down")))
    assert done.lines == ["/deep/down"]


@pytest.mark.root
def test_binds_are_read_only_with_all_that_is_mounted_below(driver: Driver[RuntimeDriver], box: Box) -> None:
    source = box.folder / "volume"
    source.mkdir()
    mounts = (
        BundleMount(source=str(source), destination="/data"),
        BundleMount(source="/dev/shm", destination="/below", options=("ro",)),
    )
    done = box.run(driver, box.config("sh", "-c", "touch /data/made; touch /below/not", mounts=mounts))
    assert (source / "made").exists()
    assert "/below/not: Read-only file system" in done.stderr


@pytest.mark.root
def test_devices_are_made_and_allowed(driver: Driver[RuntimeDriver], box: Box) -> None:
    mapping = DeviceMapping(path_on_host="/dev/kmsg", path_in_container="/dev/log-of-kernel", cgroup_permissions="r")
    host = HostConfig(resources=Resources(devices=(mapping,), device_cgroup_rules=("c 42:* rwm",)))
    script = "test -c /dev/log-of-kernel && echo there; echo x >/dev/log-of-kernel; cat /dev/null; echo y >/dev/full"
    done = box.run(driver, box.config("sh", "-c", script, host=host))
    assert done.lines == ["there"]
    assert "/dev/log-of-kernel: Operation not permitted" in done.stderr
    assert "No space left on device" in done.stderr


@pytest.mark.root
def test_the_hosts_namespaces_are_shared_on_request(driver: Driver[RuntimeDriver], box: Box) -> None:
    host = HostConfig(pid_mode="host", ipc_mode="host", uts_mode="host", cgroupns_mode="private")
    kinds = ("pid", "ipc", "uts", "mnt", "cgroup")
    paths = " ".join(f"/proc/self/ns/{kind}" for kind in kinds)
    done = box.run(driver, box.config("sh", "-c", f"for n in {paths}; do readlink $n; done", host=host))
    mine: list[Any] = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert [a == b for a, b in zip(done.lines, mine, strict=True)] == [True, True, True, False, False]


@pytest.mark.root
def test_a_callers_own_profile_counts(driver: Driver[RuntimeDriver], box: Box) -> None:
    rule = {"names": ["utimensat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    host = HostConfig(security_opt=(f"seccomp={json.dumps(profile)}",))
    done = box.run(driver, box.config("touch", "/tmp/x", host=host))
    assert "Numerical argument out of domain" in done.stderr
