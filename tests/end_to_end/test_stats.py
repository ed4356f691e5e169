"""What containers use, on a real engine: by Docker's client and ours, through the API, and until the end of all things."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts import images
from scripts.engine import ROOT, Places
from tests.end_to_end.conftest import Client

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.timeout(180)]

HEADS = ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
BURN = ("--cpus", "0.5", "-m", "64m", "--pids-limit", "77", "busybox", "sh", "-c", "while :; do :; done")


@pytest.fixture(params=["docker", "wherry"])
def client(request: pytest.FixtureRequest, engines: Callable[[str], Places]) -> Iterator[Client]:
    """Each client in turn, on one engine that has busybox."""
    program = str(ROOT / ".venv/bin/wherry") if request.param == "wherry" else "docker"
    made = Client(program, engines("overlay2").host)
    made.run("load", "-q", "-i", str(images.busybox()))
    yield made
    if found := made.text("ps", "-aq").split():
        made.run("rm", "-f", *found)


def ask(host: str, path: str) -> Any:
    """One answer of the API."""
    with Stream(host, path) as stream:
        return next(stream.samples())


class Stream:
    """A stream of samples that a client reads."""

    def __init__(self, host: str, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(30)
        self._sock.connect(host.removeprefix("unix://"))
        self._sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        self._file = self._sock.makefile("rb")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._sock.close()

    def samples(self) -> Iterator[Any]:
        """Until the engine ends the stream."""
        for line in self._file:
            if line.startswith(b"{"):
                yield json.loads(line)


def rows(client: Client, *words: str) -> dict[str, dict[str, str]]:
    """What `stats --no-stream` shows, by name."""
    lines = client.text("stats", "--no-stream", "--format", "json", *words).splitlines()
    return {row["Name"]: row for row in map(json.loads, lines)}


def test_a_container_that_is_limited_to_half_a_processor_uses_it(client: Client) -> None:
    client.run("run", "-d", "--name", "burn", *BURN)
    pid = client.inspect("burn")["State"]["Pid"]
    time.sleep(0.5)
    used, begun = processor_time(pid), time.monotonic()
    shares = [float(rows(client, "burn")["burn"]["CPUPerc"].removesuffix("%")) for _ in range(8)]
    really = (processor_time(pid) - used) / (time.monotonic() - begun) * 100
    assert really < 55  # and less than 50 where others are busy
    assert abs(sum(shares) / len(shares) - really) < 12, (shares, really)
    row = rows(client)["burn"]
    assert row["MemUsage"].endswith(" / 64MiB")
    assert re.fullmatch(r"0\.\d\d%", row["MemPerc"])
    assert row["PIDs"] == "1"
    shown = ask(client.host, "/containers/burn/stats?stream=0&one-shot=1")
    assert shown["pids_stats"]["limit"] == 77
    assert shown["cpu_stats"]["throttling_data"]["periods"] > 0


def processor_time(pid: int) -> float:
    """Seconds that a process has run, by /proc."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_memory_processes_and_network_are_counted(client: Client) -> None:
    fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; sleep 600 & sleep 600 & sleep 600"
    client.run("run", "-d", "--name", "web", "-m", "128m", "busybox", "sh", "-c", fill)
    client.run("run", "-d", "--name", "hosted", "--network", "host", "busybox", "sleep", "600")
    client.run("run", "-d", "--name", "alone", "--network", "none", "busybox", "sleep", "600")
    client.run("run", "-d", "--name", "beside", "--network", "container:web", "busybox", "sleep", "600")
    gateway = client.inspect("web")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    client.run("exec", "web", "ping", "-c", "3", "-i", "0.1", "-s", "5000", "-q", gateway)
    found = rows(client)
    used = re.fullmatch(r"([\d.]+)MiB / 128MiB", found["web"]["MemUsage"])
    assert used, found["web"]
    assert 20 <= float(used[1]) < 25
    assert found["web"]["PIDs"] == "3"
    host = client.host
    first, second = (ask(host, f"/containers/{name}/stats?stream=0&one-shot=1") for name in ("web", "beside"))
    assert first["networks"]["eth0"]["rx_bytes"] > 15000 < first["networks"]["eth0"]["tx_bytes"]
    assert second["networks"].keys() == first["networks"].keys() == {"eth0"}
    for name in ("hosted", "alone"):
        assert found[name]["NetIO"] == "0B / 0B"
        assert "networks" not in ask(host, f"/containers/{name}/stats?stream=0&one-shot=1")


def test_what_is_written_to_a_disk_is_counted(client: Client) -> None:
    # With control groups of version 1 the kernel counts nothing unless the device is limited.
    device = os.stat(Path(client.host.removeprefix("unix://")).parent / "data").st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    write = "dd if=/dev/zero of=/x bs=1M count=8 oflag=direct 2>/dev/null; sleep 600"
    limit = ("--device-write-bps", f"/dev/{name}:1gb")
    client.run("run", "-d", "--name", "writer", *limit, "busybox", "sh", "-c", write)
    deadline = time.monotonic() + 20
    while not re.fullmatch(r"\S+ / 8\.\d+MB", shown := rows(client)["writer"]["BlockIO"]):
        assert time.monotonic() < deadline, shown
        time.sleep(0.2)


def test_a_table_shows_the_running_ones_and_all_with_all(client: Client) -> None:
    client.run("run", "-d", "--name", "web", "busybox", "sleep", "600")
    client.run("create", "--name", "made", "busybox")
    head, *lines = client.text("stats", "--no-stream").splitlines()
    assert re.split(r"\s{2,}", head) == HEADS
    assert [line.split()[1] for line in lines] == ["web"]
    head, *lines = client.text("stats", "-a", "--no-stream", "--no-trunc").splitlines()
    assert [line.split()[1] for line in lines] == ["made", "web"]
    assert all(len(line.split()[0]) == 64 for line in lines)
    assert re.split(r"\s{2,}", lines[0])[2:] == ["0.00%", "0B / 0B", "0.00%", "0B / 0B", "0B / 0B", "0"]
    assert client.text("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "made", "web") == "made 0\nweb 1\n"


def test_both_clients_agree(client: Client) -> None:
    client.run("run", "-d", "--name", "web", "busybox", "sleep", "600")
    time.sleep(1.5)  # neighbours greet each other in the first second
    other = Client("docker", client.host)
    form = "table {{.ID}}\t{{.Container}}\t{{.Name}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
    for words in ([], ["web"], ["-a", "--no-trunc"]):
        command = ["stats", "--no-stream", "--format", form, *words]
        assert client.text(*command) == other.text(*command)


def test_a_container_that_does_not_exist_is_an_error(client: Client) -> None:
    client.run("run", "-d", "--name", "web", "busybox", "sleep", "600")
    for words in (["--no-stream", "web", "nosuch"], ["web", "nosuch"], ["nosuch"]):
        assert "Error response from daemon: No such container: nosuch" in client.fails("stats", *words)


def test_a_stream_goes_on_with_zeros_and_ends_with_the_container(client: Client) -> None:
    client.run("run", "-d", "--name", "web", "busybox", "sleep", "600")
    with Stream(client.host, "/containers/web/stats") as stream:
        samples = stream.samples()
        first, second = next(samples), next(samples)
        assert first["precpu_stats"]["system_cpu_usage"] < first["cpu_stats"]["system_cpu_usage"]
        assert second["preread"] == first["read"]
        assert second["precpu_stats"] == first["cpu_stats"]
        client.run("stop", "-t", "0", "web")
        stopped = next(each for each in samples if not each["pids_stats"])
        assert (stopped["read"], stopped["memory_stats"]) == ("0001-01-01T00:00:00Z", {})
        client.run("start", "web")
        assert next(each for each in samples if each["pids_stats"])["pids_stats"]["current"] == 1
        client.run("rm", "-f", "web")
        begun = time.monotonic()
        assert len(list(samples)) <= 1
        assert time.monotonic() - begun < 1.5


def test_a_command_that_watches_sees_what_comes_and_goes(client: Client) -> None:
    client.run("run", "-d", "--name", "first", "busybox", "sleep", "600")
    with subprocess.Popen(
        [client.program, "-H", client.host, "stats", "--format", "-{{.Name}}-{{.PIDs}}-"], stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        out = running.stdout
        try:
            read_until(out, "-first-1-")
            client.run("run", "-d", "--name", "second", "busybox", "sleep", "600")
            read_until(out, "-second-1-")
            client.run("rm", "-f", "first")
            read_until(out, "-first-", present=False)
        finally:
            running.terminate()


def read_until(out: Any, text: str, *, present: bool = True) -> None:
    """Until the next tables show the text, or three lines on end do not."""
    deadline, without = time.monotonic() + 20, 0
    while time.monotonic() < deadline:
        found = text in out.readline().decode()
        without = 0 if found else without + 1
        if found if present else without == 6:
            return
    raise AssertionError(f"{text} {'did not come' if present else 'did not go'}")


def test_clients_that_watch_together_get_the_same_samples(client: Client) -> None:
    client.run("run", "-d", "--name", "web", "busybox", "sleep", "600")
    seen: dict[int, list[str]] = {}

    def watch(number: int) -> None:
        with Stream(client.host, "/containers/web/stats") as stream:
            seen[number] = [each["read"] for each, _ in zip(stream.samples(), range(4), strict=False)]

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    later = [frozenset(times[1:]) for times in seen.values()]
    assert len(later) == 8
    assert len(frozenset.union(*later)) <= 5, "each client has readings of its own"
