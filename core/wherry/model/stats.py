"""What a container uses: counters of processors, memory, disks, processes and network, at one moment.

Counters run from the container's start. Times are in ns, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class CpuFigures:
    """Time on processors. `per_cpu` is None where the kernel does not tell (control groups of version 2).

    `host` is the time that all of the host's processors together had since its boot: the share of two samples'
    difference in it is the container's share of the host.
    """

    total: int
    kernel: int
    user: int
    per_cpu: tuple[int, ...] | None
    host: int
    online: int  # processors of the host
    periods: int = 0  # in which a limit was in force
    throttled_periods: int = 0
    throttled: int = 0  # ns that it had to stand still


@attrs.frozen(kw_only=True)
class MemoryFigures:
    """Memory, with the page cache. `limit` is the host's memory where there is none; None is what version 2 does not tell."""

    usage: int
    limit: int
    peak: int | None = None
    failures: int | None = None  # how often the limit was met
    details: Mapping[str, int] = attrs.field(factory=dict)  # memory.stat, by the kernel's names


@attrs.frozen
class BlockEntry:
    """One counter of one device. `operation` in the kernel's words, as "Read" or "read"."""

    major: int
    minor: int
    operation: str
    value: int


@attrs.frozen(kw_only=True)
class InterfaceFigures:
    """One network interface, as the container sees it."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


@attrs.frozen(kw_only=True)
class Figures:
    """One sample."""

    read_ns: int  # since the epoch
    cpu: CpuFigures
    memory: MemoryFigures
    block_bytes: tuple[BlockEntry, ...] = ()
    block_operations: tuple[BlockEntry, ...] | None = None  # None where version 2 does not count them so
    processes: int = 0
    processes_limit: int | None = None
    interfaces: Mapping[str, InterfaceFigures] = attrs.field(factory=dict)  # without the loopback


@attrs.frozen(kw_only=True)
class Stats:
    """A container's sample and the one before. `now` is None while it does not run, `before` if nobody took one."""

    id: str
    name: str
    now: Figures | None
    before: Figures | None = None
