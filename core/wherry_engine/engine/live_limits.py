"""Limits of a running container: the control files to write, from the same OCI resources that it was started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.linux import cgroups

NO_LIMIT = {1: "-1", 2: "max"}
_FULL_SHARES, _FULL_WEIGHT = 262144, 10000
DEFAULT_SHARES = 1024

Write = tuple[str, str, str]  # controller, file, value


def writes(resources: Mapping[str, Any], version: int) -> list[Write]:
    """What to write, in this order. `resources` is the OCI `linux.resources`; what it does not limit is set free."""
    memory, cpu, pids = (resources.get(name, {}) for name in ("memory", "cpu", "pids"))
    found = _memory(memory, version) + _cpu(cpu, version)
    found += [("cpuset", f"cpuset.{name}", cpu[name]) for name in ("cpus", "mems") if name in cpu]
    found.append(("pids", "pids.max", str(pids.get("limit", "max"))))
    if weight := resources.get("blockIO", {}).get("weight"):
        names = ("io.bfq.weight",) if version == 2 else ("blkio.weight", "blkio.bfq.weight")
        found += [("blkio", name, str(weight)) for name in names]
    return found


def _memory(memory: Mapping[str, Any], version: int) -> list[Write]:
    none = NO_LIMIT[version]
    limit, swap = memory.get("limit", none), memory.get("swap", none)
    if version == 2:  # here swap is counted by itself
        swap = swap if swap == none else max(0, swap - memory.get("limit", 0))
        reservation = memory.get("reservation", 0)
        names = ("memory.max", "memory.swap.max", "memory.low")
    else:
        reservation = memory.get("reservation", none)
        # Either limit may only be set while the other allows it, so the first is written again at the end.
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes")
    found = [("memory", name, str(value)) for name, value in zip(names, (limit, swap, reservation), strict=True)]
    if version == 1:
        found.insert(0, ("memory", names[1], str(swap)))
        if "swappiness" in memory:
            found.append(("memory", "memory.swappiness", str(memory["swappiness"])))
        found.append(("memory", "memory.oom_control", str(int(memory.get("disableOOMKiller", False)))))
    return found


def _cpu(cpu: Mapping[str, Any], version: int) -> list[Write]:
    period, quota, shares = cpu.get("period", 100_000), cpu.get("quota", 0), cpu.get("shares", DEFAULT_SHARES)
    if version == 2:
        weight = 1 + (shares - 2) * (_FULL_WEIGHT - 1) // (_FULL_SHARES - 2)
        return [("cpu", "cpu.weight", str(weight)), ("cpu", "cpu.max", f"{quota or 'max'} {period}")]
    return [
        ("cpu", "cpu.shares", str(shares)),
        ("cpu", "cpu.cfs_quota_us", "-1"),  # or a shorter period could make the old quota too much
        ("cpu", "cpu.cfs_period_us", str(period)),
        ("cpu", "cpu.cfs_quota_us", str(quota or -1)),
    ]


def apply(group: str, resources: Mapping[str, Any], version: int) -> None:
    """Write the limits of a group. Raises OSError that names the file; what this kernel has no file for is passed over."""
    refused: dict[str, OSError] = {}
    for controller, file, value in writes(resources, version):
        try:
            cgroups.write(controller, group, file, value)
            refused.pop(file, None)
        except FileNotFoundError:
            continue
        except OSError as error:
            refused[file] = error
    for file, reason in refused.items():
        raise OSError(reason.errno, f"{file} cannot be set: {reason.strerror}")
