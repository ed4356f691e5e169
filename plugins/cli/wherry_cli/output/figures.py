"""What a container uses, from a sample of the API to the figures that people read."""

from __future__ import annotations

from wherry_cli.output import human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOTHING = "--"


class Usage:
    """One row: a container, by the word that was used for it, and its last sample; None if there is none."""

    __slots__ = ("asked", "id", "sample")

    def __init__(self, asked: str, id: str = "", sample: Any = None) -> None:
        self.asked = asked
        self.id = id
        self.sample = sample

    def name(self) -> str:
        """The container's name."""
        return str(self.sample["name"]).removeprefix("/") if self.sample else NOTHING

    def cpu(self) -> str:
        """The share of one processor between this sample and the one before."""
        return f"{_cpu_share(self.sample):.2f}%" if self.sample else NOTHING

    def memory(self) -> str:
        """Memory in use and the limit."""
        if not self.sample:
            return f"{NOTHING} / {NOTHING}"
        used, limit = _memory(self.sample)
        return f"{human.binary_size(used)} / {human.binary_size(limit)}"

    def memory_share(self) -> str:
        """The part of the limit that is in use."""
        if not self.sample:
            return NOTHING
        used, limit = _memory(self.sample)
        return f"{used / limit * 100 if limit else 0:.2f}%"

    def network(self) -> str:
        """Bytes received and sent by all interfaces together."""
        if not self.sample:
            return NOTHING
        all_of_them = (self.sample.get("networks") or {}).values()
        return _both(sum(each["rx_bytes"] for each in all_of_them), sum(each["tx_bytes"] for each in all_of_them))

    def blocks(self) -> str:
        """Bytes read from disks and written to them."""
        if not self.sample:
            return NOTHING
        entries = self.sample["blkio_stats"].get("io_service_bytes_recursive") or ()
        read, written = (sum(e["value"] for e in entries if e["op"][:1].lower() == first) for first in "rw")
        return _both(read, written)

    def processes(self) -> str:
        """How many processes and threads there are."""
        return str(self.sample["pids_stats"].get("current", 0)) if self.sample else NOTHING


def _both(first: int, second: int) -> str:
    return f"{human.size(first)} / {human.size(second)}"


def _cpu_share(sample: Any) -> float:
    now, before = sample["cpu_stats"], sample["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    processors = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or ())
    return float(used / passed * processors * 100) if used > 0 and passed > 0 else 0.0


def _memory(sample: Any) -> tuple[int, int]:
    """(bytes in use without the page cache that can be dropped at once, the limit)."""
    memory = sample["memory_stats"]
    usage, details = memory.get("usage", 0), memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return usage - cache if cache < usage else usage, memory.get("limit", 0)
