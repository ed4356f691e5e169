"""Reading what containers use, from control groups and /proc: some twenty small files each, without any process.

Sources: cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst and cgroup-v2.rst of the kernel, proc(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

from wherry.linux import cgroups
from wherry.model.stats import BlockEntry, CpuFigures, Figures, InterfaceFigures, MemoryFigures

_TICK = 10**9 // os.sysconf("SC_CLK_TCK")
_PIECE = 1 << 16


@attrs.frozen(kw_only=True)
class Host:
    """What the host has, in common to all samples of a moment."""

    cpus: int
    cpu_ns: int  # that its processors together had since boot
    memory: int

    @classmethod
    def now(cls) -> Host:
        """This host. Its time is the clock's: /proc/stat counts ticks of 10 ms, too coarse for samples close together."""
        cpus = os.sysconf("SC_NPROCESSORS_ONLN")
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(cpus=cpus, cpu_ns=time.monotonic_ns() * cpus, memory=memory)


def read_figures(
    group: str, pid: int, *, version: int, host: Host, root: Path = cgroups.ROOT, proc: Path = Path("/proc")
) -> Figures | None:
    """One sample of a control group; None if it is gone.

    `pid` is a process whose network namespace is the container's own, 0 where that is the host's.
    """
    read = _read_v2 if version == 2 else _read_v1
    found = read(str(root), group.strip("/"), host)
    if found is None or not pid:
        return found
    return attrs.evolve(found, interfaces=read_interfaces(_text(f"{proc}/{pid}/net/dev")))


def read_interfaces(table: str) -> Mapping[str, InterfaceFigures]:
    """The interfaces of a /proc/PID/net/dev without the loopback; the namespace is that process's."""
    found = {}
    for line in table.splitlines()[2:]:
        name, _, counters = line.partition(":")
        n = [int(word) for word in counters.split()]
        if name.strip() != "lo" and len(n) >= 12:
            found[name.strip()] = InterfaceFigures(
                rx_bytes=n[0], rx_packets=n[1], rx_errors=n[2], rx_dropped=n[3],
                tx_bytes=n[8], tx_packets=n[9], tx_errors=n[10], tx_dropped=n[11],
            )  # fmt: skip
    return found


def _read_v1(root: str, group: str, host: Host) -> Figures | None:
    """Each controller has a hierarchy of its own; one that is not mounted counts nothing."""
    cpuacct, memory, pids = (f"{root}/{name}/{group}/{name}" for name in ("cpuacct", "memory", "pids"))
    per_cpu = tuple(int(word) for word in _text(f"{cpuacct}.usage_percpu").split())
    usage = _text(f"{memory}.usage_in_bytes")
    count = _text(f"{pids}.current")
    if not (per_cpu or usage or count):
        return None
    times = _pairs(_text(f"{cpuacct}.stat"))
    held = _pairs(_text(f"{root}/cpu/{group}/cpu.stat"))
    return Figures(
        read_ns=time.time_ns(),
        cpu=CpuFigures(
            total=sum(per_cpu),
            per_cpu=per_cpu,
            kernel=times.get("system", 0) * _TICK,
            user=times.get("user", 0) * _TICK,
            host=host.cpu_ns,
            online=host.cpus,
            periods=held.get("nr_periods", 0),
            throttled_periods=held.get("nr_throttled", 0),
            throttled=held.get("throttled_time", 0),
        ),
        memory=MemoryFigures(
            usage=int(usage or 0),
            limit=min(int(_text(f"{memory}.limit_in_bytes") or host.memory), host.memory),
            peak=int(_text(f"{memory}.max_usage_in_bytes") or 0),
            failures=int(_text(f"{memory}.failcnt") or 0),
            details=_pairs(_text(f"{memory}.stat")),
        ),
        block_bytes=_blocks_v1(f"{root}/blkio/{group}", "io_service_bytes_recursive"),
        block_operations=_blocks_v1(f"{root}/blkio/{group}", "io_serviced_recursive"),
        processes=int(count or 0),
        processes_limit=_limit(_text(f"{pids}.max")),
    )


def _blocks_v1(folder: str, what: str) -> tuple[BlockEntry, ...]:
    """The scheduler's own count where it has one (BFQ), else that of the layer above, which knows all devices."""
    for scheduler in ("bfq", "throttle"):
        entries = []
        for line in _text(f"{folder}/blkio.{scheduler}.{what}").splitlines():
            words = line.split()
            if len(words) == 3:  # the last line is the sum of all
                major, _, minor = words[0].partition(":")
                entries.append(BlockEntry(int(major), int(minor), words[1], int(words[2])))
        if entries:
            return tuple(entries)
    return ()


def _read_v2(root: str, group: str, host: Host) -> Figures | None:
    """One hierarchy; every group has a cpu.stat."""
    folder = f"{root}/{group}"
    cpu = _pairs(_text(f"{folder}/cpu.stat"))
    if not cpu:
        return None
    limit = _limit(_text(f"{folder}/memory.max"))
    return Figures(
        read_ns=time.time_ns(),
        cpu=CpuFigures(
            total=cpu.get("usage_usec", 0) * 1000,
            per_cpu=None,
            kernel=cpu.get("system_usec", 0) * 1000,
            user=cpu.get("user_usec", 0) * 1000,
            host=host.cpu_ns,
            online=host.cpus,
            periods=cpu.get("nr_periods", 0),
            throttled_periods=cpu.get("nr_throttled", 0),
            throttled=cpu.get("throttled_usec", 0) * 1000,
        ),
        memory=MemoryFigures(
            usage=int(_text(f"{folder}/memory.current") or 0),
            limit=host.memory if limit is None else min(limit, host.memory),
            details=_pairs(_text(f"{folder}/memory.stat")),
        ),
        block_bytes=_blocks_v2(_text(f"{folder}/io.stat")),
        processes=int(_text(f"{folder}/pids.current") or 0),
        processes_limit=_limit(_text(f"{folder}/pids.max")),
    )


def _blocks_v2(text: str) -> tuple[BlockEntry, ...]:
    entries = []
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        major, _, minor = device.partition(":")
        for word in rest.split():
            key, _, value = word.partition("=")
            if key in ("rbytes", "wbytes"):
                entries.append(BlockEntry(int(major), int(minor), "read" if key == "rbytes" else "write", int(value)))
    return tuple(entries)


def _limit(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _pairs(text: str) -> dict[str, int]:
    """A flat keyed file: a name and a number a line."""
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=False))


def _text(path: str) -> str:
    """A file's content; "" if it is gone, or this kernel has none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        pieces = []
        while piece := os.read(file, _PIECE):
            pieces.append(piece)
    except OSError:  # the group was removed after the opening
        return ""
    finally:
        os.close(file)
    return b"".join(pieces).decode("ascii", "replace")
