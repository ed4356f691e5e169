"""Figures read from control groups: made-up trees of both versions, and this host's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wherry.model.stats import BlockEntry, Figures
from wherry_engine.engine.figures import Host, read_figures, read_interfaces

HOST = Host(cpus=2, cpu_ns=1000, memory=1 << 30)
GROUP = "/wherry-abc/0123"

V1 = {
    "cpuacct/{}/cpuacct.usage_percpu": "300 200 \n",
    "cpuacct/{}/cpuacct.stat": "user 40\nsystem 10\n",
    "cpu/{}/cpu.stat": "nr_periods 7\nnr_throttled 5\nthrottled_time 12345\nnr_bursts 0\n",
    "memory/{}/memory.usage_in_bytes": "8192\n",
    "memory/{}/memory.max_usage_in_bytes": "9999\n",
    "memory/{}/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/{}/memory.failcnt": "3\n",
    "memory/{}/memory.stat": "cache 10\ninactive_file 1\ntotal_inactive_file 4096\n",
    "pids/{}/pids.current": "4\n",
    "pids/{}/pids.max": "max\n",
    "blkio/{}/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
    "blkio/{}/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 512\n8:0 Total 4608\nTotal 4608\n",
    "blkio/{}/blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n",
}
V2 = {
    "cgroup.controllers": "cpu io memory pids\n",
    "{}/cpu.stat": "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 5\nthrottled_usec 12\n",
    "{}/memory.current": "8192\n",
    "{}/memory.max": "max\n",
    "{}/memory.stat": "anon 100\nfile 200\ninactive_file 50\n",
    "{}/pids.current": "4\n",
    "{}/pids.max": "50\n",
    "{}/io.stat": "8:0 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0\n254:1 rbytes=0 wbytes=7 rios=0 wios=1\n",
}
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
  eth0:    5338      36    1    2    0     0          0         0      648       8    3    4    0     0       0          0
  eth1:1234567890123  1    0    0    0     0          0         0        0       0    0    0    0     0       0          0
"""


def tree(root: Path, files: Mapping[str, str], group: str = GROUP) -> Path:
    for name, text in files.items():
        path = root / name.format(group.strip("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def read(root: Path, version: int, pid: int = 0) -> Figures:
    found = read_figures(GROUP, pid, version=version, host=HOST, root=root, proc=root)
    assert found is not None
    return found


def test_version_1_in_all_its_hierarchies(tmp_path: Path) -> None:
    found = read(tree(tmp_path, V1), 1)
    cpu, memory = found.cpu, found.memory
    assert (cpu.total, cpu.per_cpu, cpu.user, cpu.kernel) == (500, (300, 200), 400_000_000, 100_000_000)
    assert (cpu.host, cpu.online, cpu.periods, cpu.throttled_periods, cpu.throttled) == (1000, 2, 7, 5, 12345)
    assert (memory.usage, memory.peak, memory.failures, memory.limit) == (8192, 9999, 3, HOST.memory)
    assert memory.details["total_inactive_file"] == 4096
    assert (found.processes, found.processes_limit) == (4, None)
    assert found.block_bytes == (
        BlockEntry(8, 0, "Read", 4096), BlockEntry(8, 0, "Write", 512), BlockEntry(8, 0, "Total", 4608)
    )  # fmt: skip
    assert found.block_operations is not None
    assert [each.value for each in found.block_operations] == [1, 2, 3]


def test_version_1_takes_the_schedulers_own_counts_where_it_has_any(tmp_path: Path) -> None:
    bfq = {"blkio/{}/blkio.bfq.io_service_bytes_recursive": "8:0 Read 77\nTotal 77\n"}
    assert read(tree(tmp_path, V1 | bfq), 1).block_bytes == (BlockEntry(8, 0, "Read", 77),)


def test_version_2(tmp_path: Path) -> None:
    found = read(tree(tmp_path, V2), 2)
    cpu, memory = found.cpu, found.memory
    assert (cpu.total, cpu.per_cpu, cpu.user, cpu.kernel) == (5000, None, 3000, 2000)
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled) == (7, 5, 12000)
    assert (memory.usage, memory.peak, memory.failures, memory.limit) == (8192, None, None, HOST.memory)
    assert memory.details == {"anon": 100, "file": 200, "inactive_file": 50}
    assert (found.processes, found.processes_limit) == (4, 50)
    assert found.block_bytes == (
        BlockEntry(8, 0, "read", 4096), BlockEntry(8, 0, "write", 512),
        BlockEntry(254, 1, "read", 0), BlockEntry(254, 1, "write", 7),
    )  # fmt: skip
    assert found.block_operations is None


def test_a_limit_is_the_containers_own_where_it_is_less_than_the_host_has(tmp_path: Path) -> None:
    assert read(tree(tmp_path / "1", V1 | {"memory/{}/memory.limit_in_bytes": "65536\n"}), 1).memory.limit == 65536
    assert read(tree(tmp_path / "2", V2 | {"{}/memory.max": "65536\n"}), 2).memory.limit == 65536


def test_a_hierarchy_that_is_missing_counts_nothing(tmp_path: Path) -> None:
    found = read(tree(tmp_path, {name: text for name, text in V1.items() if name.startswith("pids")}), 1)
    assert (found.processes, found.cpu.total, found.memory.usage, found.block_bytes) == (4, 0, 0, ())


def test_a_group_that_is_gone_has_no_figures(tmp_path: Path) -> None:
    for version, files in ((1, V1), (2, V2)):
        root = tree(tmp_path / str(version), files, "/another")
        assert read_figures(GROUP, 1, version=version, host=HOST, root=root, proc=root) is None


def test_interfaces_without_the_loopback(tmp_path: Path) -> None:
    tree(tmp_path, V2 | {"4711/net/dev": NET_DEV})
    found = read(tmp_path, 2, pid=4711).interfaces
    assert set(found) == {"eth0", "eth1"}
    eth0 = found["eth0"]
    assert (eth0.rx_bytes, eth0.rx_packets, eth0.rx_errors, eth0.rx_dropped) == (5338, 36, 1, 2)
    assert (eth0.tx_bytes, eth0.tx_packets, eth0.tx_errors, eth0.tx_dropped) == (648, 8, 3, 4)
    assert found["eth1"].rx_bytes == 1234567890123
    assert read(tmp_path, 2, pid=1).interfaces == {}, "a process that has ended shows none"


def test_this_hosts_own_table_of_interfaces_can_be_read() -> None:
    assert "lo" not in read_interfaces(Path("/proc/self/net/dev").read_text())


def test_the_hosts_time_goes_on_by_all_processors_together() -> None:
    first, second = Host.now(), Host.now()
    assert second.cpu_ns > first.cpu_ns > 0
    assert first.cpus >= 1
