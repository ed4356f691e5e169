"""config.json: what a container gets by default, and what each request changes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import attrs
import pytest

from wherry.errors import Failed, Invalid
from wherry.linux.users import User
from wherry.model.configs import (
    BindOptions,
    Config,
    DeviceMapping,
    HostConfig,
    MountRequest,
    Resources,
    ThrottleDevice,
    TmpfsOptions,
    Ulimit,
    WeightDevice,
)  # fmt: skip
from wherry.model.containers import Container, MountPoint
from wherry_engine.engine import limits
from wherry_engine.engine.bundle import BundleInput, BundleMount, oci_config
from wherry_engine.engine.bundle_process import environment

FOURTEEN = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}  # fmt: skip
ROOT = User(0, 0, (0, 10), "/root")


def given(host: HostConfig | None = None, config: Config | None = None, **changes: Any) -> BundleInput:
    container = Container(
        id="c" * 64, name="c", created_ns=0, config=config or Config(), host=host or HostConfig(), image_id="",
        storage_driver="", log_driver="", runtime="", path="sleep", args=("9",), mounts=changes.pop("points", ()),
    )  # fmt: skip
    base = BundleInput(
        container=container, rootfs=Path("/root/fs"), user=ROOT, netns=Path("/run/ns"), mounts=(), cgroups_path="/wherry-1/c",
        hostname="cccc", cgroup_version=1,
    )  # fmt: skip
    return attrs.evolve(base, **changes)


def render(host: HostConfig | None = None, config: Config | None = None, **changes: Any) -> dict[str, Any]:
    return oci_config(given(host, config, **changes))


def mounts(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in config["mounts"]}


def namespaces(config: dict[str, Any]) -> dict[str, str | None]:
    return {entry["type"]: entry.get("path") for entry in config["linux"]["namespaces"]}


def test_the_defaults_are_dockers() -> None:
    found = render()
    process, linux = found["process"], found["linux"]
    assert json.loads(json.dumps(found)) == found
    assert found["ociVersion"] == "1.0.2"
    assert found["root"] == {"path": "/root/fs", "readonly": False}
    assert found["hostname"] == "cccc"
    assert process["args"] == ["sleep", "9"]
    assert (process["cwd"], process["terminal"], process["noNewPrivileges"]) == ("/", False, False)
    assert process["user"] == {"uid": 0, "gid": 0, "additionalGids": [0, 10]}
    assert set(process["capabilities"]) == {"bounding", "effective", "permitted"}
    assert all(set(names) == FOURTEEN for names in process["capabilities"].values())
    assert "rlimits" not in process
    assert namespaces(found) == {"mount": None, "pid": None, "ipc": None, "uts": None, "network": "/run/ns"}
    assert linux["cgroupsPath"] == "/wherry-1/c"
    assert linux["readonlyPaths"] == ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    masked = set(linux["maskedPaths"])
    assert masked >= {
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware",
    }  # fmt: skip
    assert linux["sysctl"] == {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    assert linux["devices"] == []
    assert set(linux["resources"]) == {"devices"}
    assert linux["seccomp"]["defaultErrnoRet"] == 1
    assert "annotations" not in found


def test_default_devices_are_dockers() -> None:
    rules = render()["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert [(r["allow"], r["type"], r["major"], r["minor"]) for r in rules[1:]] == [
        (True, "c", 1, 5), (True, "c", 1, 3), (True, "c", 1, 9), (True, "c", 1, 8), (True, "c", 5, 0), (True, "c", 5, 1),
        (False, "c", 10, 229),
    ]  # fmt: skip


def test_default_mounts_are_dockers() -> None:
    found = [(m["destination"], m["type"], m["source"], ",".join(m["options"])) for m in render()["mounts"]]
    assert found == [
        ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
        ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        ("/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
        ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=67108864"),
    ]


@pytest.mark.parametrize(
    ("entries", "tty", "expected"),
    [
        ((), False, ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=h", "HOME=/root"]),
        (("PATH=/x", "A=1=2", "HOME=/y"), True, ["PATH=/x", "HOSTNAME=h", "TERM=xterm", "A=1=2", "HOME=/y"]),
        (("TERM", "PATH", "A=1", "A=2"), True, ["HOSTNAME=h", "A=2", "HOME=/root"]),
        (
            ("E=",),
            False,
            ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=h", "E=", "HOME=/root"],
        ),
    ],
)
def test_the_environment(entries: tuple[str, ...], tty: bool, expected: list[str]) -> None:
    assert environment(entries, hostname="h", home="/root", tty=tty) == expected


def test_a_terminal_has_its_size() -> None:
    process = render(HostConfig(console_size=(24, 80)), Config(tty=True))["process"]
    assert process["terminal"]
    assert process["consoleSize"] == {"height": 24, "width": 80}
    assert "TERM=xterm" in process["env"]
    assert "consoleSize" not in render(config=Config(tty=True))["process"]


def test_another_user_keeps_only_the_bounding_set() -> None:
    process = render(user=User(5, 6, (6, 7), "/home/u"))["process"]
    assert process["user"] == {"uid": 5, "gid": 6, "additionalGids": [6, 7]}
    assert set(process["capabilities"]) == {"bounding"}
    assert "HOME=/home/u" in process["env"]


def test_privileged() -> None:
    found = render(HostConfig(privileged=True, readonly_rootfs=True))
    linux = found["linux"]
    assert "seccomp" not in linux
    assert linux["maskedPaths"] == linux["readonlyPaths"] == []
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert {"/dev/null", "/dev/zero"} <= {device["path"] for device in linux["devices"]}
    assert not any(device["path"].startswith(("/dev/pts/", "/dev/shm/")) for device in linux["devices"])
    assert "ro" not in mounts(found)["/sys"]["options"] + mounts(found)["/sys/fs/cgroup"]["options"]
    assert "CAP_SYS_ADMIN" in found["process"]["capabilities"]["effective"]
    profile = json.dumps({"defaultAction": "SCMP_ACT_LOG"})
    custom = render(HostConfig(privileged=True, security_opt=(f"seccomp={profile}",)))
    assert custom["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_LOG"


def test_paths_can_be_unmasked() -> None:
    linux = render(HostConfig(masked_paths=(), readonly_paths=("/proc/bus",)))["linux"]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([], ["/proc/bus"])


def test_shared_namespaces_and_the_hosts_network() -> None:
    host = HostConfig(pid_mode="host", ipc_mode="host", uts_mode="host", network_mode="host", cgroupns_mode="private")
    found = render(host, netns=None, hostname="")
    assert namespaces(found) == {"mount": None, "cgroup": None}
    assert "hostname" not in found
    assert f"HOSTNAME={os.uname().nodename}" in found["process"]["env"]
    assert found["linux"]["sysctl"] == {}
    assert mounts(found)["/dev/shm"] == {
        "destination": "/dev/shm", "type": "bind", "source": "/dev/shm", "options": ["rbind", "rprivate"],
    }  # fmt: skip


def test_version_2_has_a_cgroup_namespace_by_default() -> None:
    assert "cgroup" in namespaces(render(HostConfig(cgroupns_mode="private"), cgroup_version=2))
    assert "cgroup" not in namespaces(render(HostConfig(cgroupns_mode="host"), cgroup_version=2))


def test_without_ipc_there_is_no_shm() -> None:
    assert "/dev/shm" not in mounts(render(HostConfig(ipc_mode="none")))


def test_a_domain_name_and_sysctls() -> None:
    found = render(
        HostConfig(sysctls={"net.ipv4.ip_unprivileged_port_start": "1024"}), Config(domainname="example.org")
    )
    assert found["linux"]["sysctl"]["kernel.domainname"] == "example.org"
    assert found["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "1024"


def test_volumes_come_after_the_kernels_and_parents_first() -> None:
    asked = (
        BundleMount(source="/v/deep", destination="/data/deep", options=("rbind", "rprivate", "rw")),
        BundleMount(source="/v/ro", destination="/ro/", options=("ro",)),
        BundleMount(source="/v/data", destination="/data"),
        BundleMount(source="/v/shared", destination="/shared", options=("rshared",)),
    )
    found = render(mounts=asked)
    assert [(m["destination"], m["options"]) for m in found["mounts"][7:]] == [
        ("/data", ["rbind", "rprivate"]),
        ("/ro/", ["rbind", "rro", "rprivate"]),
        ("/shared", ["rbind", "rshared"]),
        ("/data/deep", ["rbind", "rprivate", "rw"]),
    ]
    assert found["linux"]["rootfsPropagation"] == "shared"
    slave = render(mounts=(BundleMount(source="/a", destination="/b", options=("rslave",)),))
    assert slave["linux"]["rootfsPropagation"] == "rslave"
    assert "rootfsPropagation" not in render()["linux"]


def test_bind_options_of_mount_requests_count() -> None:
    requests = (
        MountRequest(type="bind", target="/flat", source="/s", bind_options=BindOptions(non_recursive=True)),
        MountRequest(type="bind", target="/top", source="/s", bind_options=BindOptions(read_only_non_recursive=True)),
    )
    asked = tuple(BundleMount(source="/s", destination=r.target, options=("rbind", "rprivate", "ro")) for r in requests)
    found = mounts(render(HostConfig(mounts=requests), mounts=asked))
    assert found["/flat"]["options"] == ["bind", "rprivate", "ro"]
    assert found["/top"]["options"] == ["rbind", "rprivate", "ro"]


def test_a_given_mount_takes_the_place_of_a_default() -> None:
    found = render(mounts=(BundleMount(source="/s", destination="/dev/shm"),))
    assert mounts(found)["/dev/shm"]["source"] == "/s"
    assert len(found["mounts"]) == 7
    whole = mounts(render(mounts=(BundleMount(source="/dev", destination="/dev"),)))
    assert [path for path in whole if path.startswith("/dev")] == ["/dev"]


def test_a_read_only_root_makes_the_engines_files_read_only_but_no_volume() -> None:
    points = (MountPoint(type="volume", destination="/data", source="/v"),)
    asked = (BundleMount(source="/h", destination="/etc/hosts"), BundleMount(source="/v", destination="/data"))
    found = render(HostConfig(readonly_rootfs=True, tmpfs={"/run": ""}), mounts=asked, points=points)
    assert found["root"]["readonly"]
    assert "rro" in mounts(found)["/etc/hosts"]["options"]
    assert mounts(found)["/data"]["options"] == ["rbind", "rprivate"]
    assert "ro" not in mounts(found)["/run"]["options"]
    assert "ro" not in mounts(found)["/dev"]["options"]


def test_tmpfs_options_are_merged_with_the_defaults() -> None:
    request = MountRequest(
        type="tmpfs", target="/t", read_only=True, tmpfs_options=TmpfsOptions(size_bytes=1 << 20, mode=0o1770)
    )
    found = mounts(render(HostConfig(tmpfs={"/run": "size=64m,exec,rw", "/x": ""}, mounts=(request,))))
    assert found["/x"]["options"] == ["noexec", "nosuid", "nodev", "rprivate"]
    assert found["/run"]["options"] == ["nosuid", "nodev", "rprivate", "size=64m", "exec", "rw"]
    assert found["/t"]["options"] == ["noexec", "nosuid", "nodev", "rprivate", "ro", "mode=1770", "size=1048576"]
    with pytest.raises(Invalid, match=r'invalid tmpfs option \["wild"\]'):
        render(HostConfig(tmpfs={"/run": "wild"}))


def test_limits_in_ocis_terms() -> None:
    asked = Resources(
        memory=64 << 20, memory_reservation=32 << 20, memory_swappiness=10, oom_kill_disable=True, cpu_shares=512,
        nano_cpus=1_500_000_000, cpuset_cpus="0-1", cpuset_mems="0", pids_limit=99, blkio_weight=300,
        ulimits=(Ulimit(name="nofile", soft=10, hard=-1),),
    )  # fmt: skip
    found = render(HostConfig(resources=asked, oom_score_adj=-5))
    resources = found["linux"]["resources"]
    swap = {"swap": 128 << 20} if os.path.exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes") else {}
    assert resources["memory"] == {
        "limit": 64 << 20, "reservation": 32 << 20, "swappiness": 10, "disableOOMKiller": True, **swap,
    }  # fmt: skip
    assert resources["cpu"] == {"shares": 512, "period": 100_000, "quota": 150_000, "cpus": "0-1", "mems": "0"}
    assert resources["pids"] == {"limit": 99}
    assert resources["blockIO"] == {"weight": 300}
    assert found["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": (1 << 64) - 1}]
    assert found["process"]["oomScoreAdj"] == -5


def test_limits_on_version_2() -> None:
    asked = Resources(memory=64 << 20, memory_swap=80 << 20, memory_swappiness=10, oom_kill_disable=True)
    assert limits.resources(asked, 2) == {"memory": {"limit": 64 << 20, "swap": 80 << 20}}
    assert limits.resources(Resources(memory=64 << 20), 2)["memory"]["swap"] == 128 << 20
    assert "swap" not in limits.resources(Resources(memory=64 << 20, memory_swap=-1), 2)["memory"]


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_no_limit_of_processes_is_no_limit(limit: int | None) -> None:
    assert limits.resources(Resources(pids_limit=limit, cpu_period=50_000, cpu_quota=20_000), 1) == {
        "cpu": {"period": 50_000, "quota": 20_000}
    }


def test_added_devices_are_made_and_allowed() -> None:
    asked = (DeviceMapping(path_on_host="/dev/null", path_in_container="/dev/hole", cgroup_permissions="rw"),)
    linux = render(HostConfig(resources=Resources(devices=asked, device_cgroup_rules=("b 8:* r",))))["linux"]
    (device,) = linux["devices"]
    assert (device["path"], device["type"], device["major"], device["minor"]) == ("/dev/hole", "c", 1, 3)
    assert device["fileMode"] == stat.S_IMODE(os.stat("/dev/null").st_mode)
    assert linux["resources"]["devices"][-2:] == [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        {"allow": True, "type": "b", "access": "r", "major": 8},
    ]


def test_a_folder_of_devices_is_taken_whole(tmp_path: Path) -> None:
    asked = (
        (DeviceMapping(path_on_host="/dev/net"),)
        if os.path.isdir("/dev/net")
        else (DeviceMapping(path_on_host="/dev/vfio"),)
    )
    if not os.path.isdir(asked[0].path_on_host) or not os.listdir(asked[0].path_on_host):
        pytest.skip("this host has no folder of devices")
    devices = render(HostConfig(resources=Resources(devices=asked)))["linux"]["devices"]
    assert [d["path"] for d in devices] == [
        f"{asked[0].path_on_host}/{n}" for n in sorted(os.listdir(asked[0].path_on_host))
    ]


@pytest.mark.parametrize(
    ("path", "text"), [("/dev/nosuch", "no such file or directory"), ("/dev/shm/..//stdin/x", "not a")]
)
def test_a_missing_device_is_named(path: str, text: str) -> None:
    asked = Resources(devices=(DeviceMapping(path_on_host=path),))
    with pytest.raises(Failed, match=f'error gathering device information while adding custom device "{path}": {text}'):
        render(HostConfig(resources=asked))


def test_disks_are_named_by_their_numbers() -> None:
    disk = next(
        (f"/dev/{n}" for n in os.listdir("/dev") if stat.S_ISBLK(os.stat(f"/dev/{n}", follow_symlinks=False).st_mode)),
        None,
    )
    if disk is None:
        pytest.skip("this host has no disk")
    number = os.stat(disk).st_rdev
    asked = Resources(
        blkio_weight_device=(WeightDevice(path=disk, weight=200),),
        blkio_device_read_bps=(ThrottleDevice(path=disk, rate=9),),
    )
    assert limits.resources(asked, 1)["blockIO"] == {
        "weightDevice": [{"major": os.major(number), "minor": os.minor(number), "weight": 200}],
        "throttleReadBpsDevice": [{"major": os.major(number), "minor": os.minor(number), "rate": 9}],
    }
