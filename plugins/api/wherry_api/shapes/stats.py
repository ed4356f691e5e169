"""What a container uses, as Docker's clients read it: what is not known is left out, or null where it was a list."""

from __future__ import annotations

from typing import Any

from wherry.model.stats import BlockEntry, CpuFigures, Figures, MemoryFigures, Stats
from wherry_api.shapes.times import time_text

Json = dict[str, Any]
# Counts of a disk scheduler that is no longer part of Linux.
_NO_MORE = (
    "io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive",
    "io_time_recursive", "sectors_recursive",
)  # fmt: skip


def stats_json(stats: Stats) -> Json:
    """One sample with the processor's part of the one before."""
    now, before = stats.now, stats.before
    found: Json = {
        "read": time_text(now.read_ns if now else 0),
        "preread": time_text(before.read_ns if before else 0),
        "pids_stats": _processes(now) if now else {},
        "blkio_stats": _blocks(now),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(now.cpu if now else None),
        "precpu_stats": _cpu(before.cpu if before else None),
        "memory_stats": _memory(now.memory) if now else {},
        "name": f"/{stats.name}",
        "id": stats.id,
    }
    if now and now.interfaces:
        found["networks"] = {
            name: {
                "rx_bytes": each.rx_bytes,
                "rx_packets": each.rx_packets,
                "rx_errors": each.rx_errors,
                "rx_dropped": each.rx_dropped,
                "tx_bytes": each.tx_bytes,
                "tx_packets": each.tx_packets,
                "tx_errors": each.tx_errors,
                "tx_dropped": each.tx_dropped,
            }
            for name, each in now.interfaces.items()
        }
    return found


def _processes(now: Figures) -> Json:
    limit = now.processes_limit
    return {"current": now.processes} | ({} if limit is None else {"limit": limit})


def _blocks(now: Figures | None) -> Json:
    operations = None if now is None else now.block_operations
    empty: list[Json] | None = None if operations is None else []
    return {
        "io_service_bytes_recursive": None if now is None else _entries(now.block_bytes),
        "io_serviced_recursive": None if operations is None else _entries(operations),
        **dict.fromkeys(_NO_MORE, empty),
    }


def _entries(entries: tuple[BlockEntry, ...]) -> list[Json]:
    return [{"major": e.major, "minor": e.minor, "op": e.operation, "value": e.value} for e in entries]


def _cpu(cpu: CpuFigures | None) -> Json:
    usage: Json = {"total_usage": cpu.total if cpu else 0}
    if cpu and cpu.per_cpu is not None:
        usage["percpu_usage"] = cpu.per_cpu
    usage["usage_in_kernelmode"] = cpu.kernel if cpu else 0
    usage["usage_in_usermode"] = cpu.user if cpu else 0
    found: Json = {"cpu_usage": usage}
    if cpu:
        found |= {"system_cpu_usage": cpu.host, "online_cpus": cpu.online}
    found["throttling_data"] = {
        "periods": cpu.periods if cpu else 0,
        "throttled_periods": cpu.throttled_periods if cpu else 0,
        "throttled_time": cpu.throttled if cpu else 0,
    }
    return found


def _memory(memory: MemoryFigures) -> Json:
    known = {"max_usage": memory.peak, "failcnt": memory.failures}
    return {
        "usage": memory.usage,
        **{name: value for name, value in known.items() if value is not None},
        "stats": memory.details,
        "limit": memory.limit,
    }
