"""Limits of a container: its part of memory, processors, processes and block I/O, in OCI's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.model.configs import Resources, ThrottleDevice
from wherry_engine.engine.devices import number
from wherry_engine.engine.limit_support import limits_swap

PERIOD = 100_000  # µs, the kernel's own default
NANO = 1_000_000_000
_RLIM_INFINITY = (1 << 64) - 1


def rlimits(resources: Resources) -> list[dict[str, Any]]:
    """`--ulimit`; -1 is no limit."""
    return [
        {
            "type": f"RLIMIT_{limit.name.upper()}",
            "soft": _RLIM_INFINITY if limit.soft < 0 else limit.soft,
            "hard": _RLIM_INFINITY if limit.hard < 0 else limit.hard,
        }
        for limit in resources.ulimits
    ]


def resources(given: Resources, cgroup_version: int) -> dict[str, Any]:
    """The OCI `linux.resources`, without devices; what is not limited is left out. Raises `Failed` for a missing disk."""
    parts = {
        "memory": _memory(given, cgroup_version),
        "cpu": _cpu(given),
        "pids": {"limit": given.pids_limit} if given.pids_limit and given.pids_limit > 0 else {},
        "blockIO": _block_io(given),
    }
    return {name: part for name, part in parts.items() if part}


def memory_swap(given: Resources) -> int:
    """Memory and swap together, in bytes: twice the memory if nothing is said; 0 or less is no limit."""
    if given.memory > 0 and given.memory_swap == 0:
        return 2 * given.memory
    return given.memory_swap


def _memory(given: Resources, cgroup_version: int) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    if given.memory > 0:
        memory["limit"] = given.memory
    if given.memory_reservation > 0:
        memory["reservation"] = given.memory_reservation
    if memory_swap(given) > 0 and limits_swap(cgroup_version):
        memory["swap"] = memory_swap(given)
    if cgroup_version == 1:  # version 2 has neither
        if given.memory_swappiness is not None and given.memory_swappiness >= 0:
            memory["swappiness"] = given.memory_swappiness
        if given.oom_kill_disable:
            memory["disableOOMKiller"] = True
    return memory


def _cpu(given: Resources) -> dict[str, Any]:
    period, quota = given.cpu_period, given.cpu_quota
    if given.nano_cpus > 0:
        period, quota = PERIOD, given.nano_cpus * PERIOD // NANO
    values = {
        "shares": given.cpu_shares,
        "period": period,
        "quota": quota,
        "realtimePeriod": given.cpu_realtime_period,
        "realtimeRuntime": given.cpu_realtime_runtime,
        "cpus": given.cpuset_cpus,
        "mems": given.cpuset_mems,
    }
    return {name: value for name, value in values.items() if value}


def _block_io(given: Resources) -> dict[str, Any]:
    block: dict[str, Any] = {}
    if given.blkio_weight:
        block["weight"] = given.blkio_weight
    if given.blkio_weight_device:
        block["weightDevice"] = [_numbered(d.path, "weight", d.weight) for d in given.blkio_weight_device]
    throttles = {
        "throttleReadBpsDevice": given.blkio_device_read_bps,
        "throttleWriteBpsDevice": given.blkio_device_write_bps,
        "throttleReadIOPSDevice": given.blkio_device_read_iops,
        "throttleWriteIOPSDevice": given.blkio_device_write_iops,
    }
    return block | {name: _throttle(devices) for name, devices in throttles.items() if devices}


def _throttle(devices: Sequence[ThrottleDevice]) -> list[dict[str, int]]:
    return [_numbered(device.path, "rate", device.rate) for device in devices]


def _numbered(path: str, key: str, value: int) -> dict[str, int]:
    major, minor = number(path)
    return {"major": major, "minor": minor, key: value}
