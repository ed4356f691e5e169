"""What a create refuses, in the words that Docker's clients know; all faults at once."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from wherry.model.configs import (
    Config,
    DeviceMapping,
    DeviceRequest,
    HostConfig,
    Resources,
    ThrottleDevice,
    Ulimit,
)  # fmt: skip
from wherry_engine.engine.bundle import check
from wherry_engine.engine.bundle_checks import parse_list

CPUS = len(os.sched_getaffinity(0))
MB = 1 << 20

RESOURCES: list[tuple[dict[str, Any], str]] = [
    ({"memory": 5 * MB}, "Minimum memory limit allowed is 6MB"),
    ({"memory": -1}, "Minimum memory limit allowed is 6MB"),
    (
        {"memory": 9 * MB, "memory_swap": 8 * MB},
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    ),
    ({"memory_swap": 8 * MB}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
    ({"memory_swappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
    ({"memory_reservation": MB}, "Minimum memory reservation allowed is 6MB"),
    (
        {"memory": 8 * MB, "memory_reservation": 9 * MB},
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    ),
    ({"nano_cpus": 1, "cpu_period": 5000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
    ({"nano_cpus": 1, "cpu_quota": 5000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    ({"nano_cpus": -1}, f"range of CPUs is from 0.01 to {CPUS}.00, as there are only {CPUS} CPUs available"),
    (
        {"nano_cpus": (CPUS + 1) * 1_000_000_000},
        f"range of CPUs is from 0.01 to {CPUS}.00, as there are only {CPUS} CPUs available",
    ),
    ({"cpu_shares": -1}, "invalid CPU shares (-1): value must be a positive integer"),
    ({"cpu_period": 10}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    ({"cpu_quota": 10}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    ({"cpuset_cpus": "a-b"}, "Invalid value a-b for cpuset cpus"),
    ({"cpuset_mems": "3-1"}, "Invalid value 3-1 for cpuset mems"),
    ({"blkio_weight": 9}, "Range of blkio weight is from 10 to 1000"),
    ({"io_maximum_iops": 1}, "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps"),
    (
        {"blkio_device_read_bps": (ThrottleDevice(path="/mnt/disk", rate=1),)},
        'device path "/mnt/disk" is invalid, it needs to lie under /dev',
    ),
    ({"ulimits": (Ulimit(name="files", soft=1, hard=1),)}, "invalid ulimit type: files"),
    (
        {"ulimits": (Ulimit(name="nofile", soft=9, hard=8),)},
        "ulimit soft limit must be less than or equal to hard limit: 9 > 8",
    ),
    (
        {"devices": (DeviceMapping(path_on_host="/tmp/x"),)},
        'device path "/tmp/x" is invalid, it needs to lie under /dev',
    ),
    (
        {"devices": (DeviceMapping(path_on_host="/dev/../tmp/x"),)},
        'device path "/dev/../tmp/x" is invalid, it needs to lie under /dev',
    ),
    ({"devices": (DeviceMapping(path_on_host="/dev/null", cgroup_permissions="rx"),)}, "invalid device mode: rx"),
    ({"device_cgroup_rules": ("x 1:3 r",)}, "invalid device cgroup rule format: 'x 1:3 r'"),
    (
        {"device_requests": (DeviceRequest(),)},
        'could not select device driver "" with capabilities: []',
    ),
]

HOSTS: list[tuple[dict[str, Any], str]] = [
    ({"cap_add": ("NONSENSE",)}, 'invalid CapAdd: unknown capability: "CAP_NONSENSE"'),
    ({"cap_drop": ("cap_nonsense",)}, 'invalid CapDrop: unknown capability: "CAP_NONSENSE"'),
    ({"security_opt": ("nonsense",)}, 'invalid --security-opt 1: "nonsense"'),
    ({"security_opt": ("nonsense=1",)}, 'invalid --security-opt 2: "nonsense=1"'),
    ({"security_opt": ("no-new-privileges=maybe",)}, 'invalid --security-opt 2: "no-new-privileges=maybe"'),
    (
        {"security_opt": ("seccomp={}",)},
        "Decoding seccomp profile failed: it is no object with a defaultAction",
    ),
    ({"oom_score_adj": 1001}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
    ({"ipc_mode": "odd"}, "invalid IPC mode: odd"),
    ({"pid_mode": "odd"}, "invalid PID mode: odd"),
    ({"uts_mode": "odd"}, "invalid UTS mode: odd"),
    ({"cgroupns_mode": "odd"}, "invalid cgroup namespace mode: odd"),
    ({"shm_size": -1}, "SHM size can not be less than 0"),
    ({"tmpfs": {"run": ""}}, "invalid mount path: 'run' mount path must be absolute"),
    ({"tmpfs": {"/run": "wild=1"}}, 'invalid tmpfs option ["wild" "1"]'),
]


@pytest.mark.parametrize(("fields", "text"), RESOURCES)
def test_limits_that_cannot_be_are_refused(fields: dict[str, Any], text: str) -> None:
    assert check(Config(), HostConfig(resources=Resources(**fields))) == [text]


@pytest.mark.parametrize(("fields", "text"), HOSTS)
def test_settings_that_cannot_be_are_refused(fields: dict[str, Any], text: str) -> None:
    assert check(Config(), HostConfig(**fields)) == [text]


def test_processors_that_are_not_there_are_refused() -> None:
    (text,) = check(Config(), HostConfig(resources=Resources(cpuset_cpus="0,4000")))
    assert text.startswith("Requested CPUs are not available - requested 0,4000, available: ")
    (text,) = check(Config(), HostConfig(resources=Resources(cpuset_mems="4000")))
    assert text.startswith("Requested memory nodes are not available - requested 4000, available: ")


def test_a_host_name_and_the_hosts_uts_namespace_exclude_each_other() -> None:
    assert check(Config(hostname="h"), HostConfig(uts_mode="host")) == [
        "conflicting options: hostname and the UTS mode"
    ]


def test_all_faults_are_told_at_once() -> None:
    host = HostConfig(oom_score_adj=-2000, cap_add=("x",), resources=Resources(memory=1, cpu_quota=1))
    assert len(check(Config(), host)) == 4


def test_what_is_fine_is_fine() -> None:
    profile = json.dumps({"defaultAction": "SCMP_ACT_ALLOW"})
    host = HostConfig(
        cap_add=("all", "net_admin"),
        cap_drop=("CAP_KILL",),
        security_opt=("no-new-privileges", "label=disable", "label:type:t", "apparmor=unconfined", f"seccomp={profile}"),
        tmpfs={"/run": "size=1m,mode=755,uid=1", "/tmp": ""},
        ipc_mode="shareable",
        resources=Resources(
            memory=6 * MB, memory_swap=-1, memory_swappiness=-1, nano_cpus=10_000_000, cpuset_cpus="0", cpuset_mems="0",
            device_cgroup_rules=("a *:* rwm",), ulimits=(Ulimit(name="core", soft=0, hard=-1),),
        ),
    )  # fmt: skip
    assert check(Config(), host) == []


def test_lists_of_numbers() -> None:
    assert parse_list("0-2,5") == {0, 1, 2, 5}
    for wrong in ("", "1-", "-1", "2-1", "1,,2", "99999"):
        with pytest.raises(ValueError):
            parse_list(wrong)
