"""What is measured, and how: every figure is a median of samples that were taken in turn, engine by engine."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench.engines import Subject

IMAGE = "busybox:latest"
# A process that ends at once when it is asked to, so that `stop` measures the engine and not its patience.
OBEDIENT = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done")
IDLE = ("sleep", "100000")
MANY, AT_ONCE = 50, 8
SYNCS = ("fsync", "fdatasync", "syncfs", "sync_file_range", "msync")
TRACED = 10  # runs


@dataclass
class Figure:
    """One row of the table: samples by engine."""

    title: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)


Sample = Callable[[Subject], float]


def interleave(
    title: str, unit: str, subjects: Sequence[Subject], rounds: int, sample: Sample, warm: int = 1
) -> Figure:
    """Take `rounds` samples of each engine in turn on a quiet machine, after `warm` that do not count."""
    figure = Figure(title, unit, {subject.name: [] for subject in subjects})
    for number in range(-warm, rounds):
        for subject in subjects:
            wait_until_quiet()
            value = sample(subject)
            if number >= 0:
                figure.samples[subject.name].append(value)
    return figure


def wait_until_quiet() -> None:
    """Return when the processors are idle, so that no sample pays for what another engine still does; 2 s at most."""
    end = time.monotonic() + 2
    before = busy_seconds()
    while time.monotonic() < end:
        time.sleep(0.1)
        now = busy_seconds()
        if now - before <= 0.02:
            return
        before = now


def busy_seconds() -> float:
    """What all processors have worked since the host's start. Source: proc(5), /proc/stat."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def client(subjects: Sequence[Subject], rounds: int) -> Iterable[Figure]:
    """What the client costs by itself, and with one question to the engine."""

    def alone(subject: Subject) -> float:
        begun = time.perf_counter()
        subprocess.run([subject.client, "--version"], check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - begun) * 1000

    yield interleave("docker --version (the client alone)", "ms", subjects, rounds, alone)
    yield interleave("docker version (one question)", "ms", subjects, rounds, lambda s: s.timed("version"))


def run(subjects: Sequence[Subject], rounds: int) -> Iterable[Figure]:
    """`run --rm busybox true` on each predefined network."""
    for network in ("bridge", "none", "host"):

        def sample(subject: Subject, network: str = network) -> float:
            return subject.timed("run", "--rm", "--network", network, IMAGE, "true")

        yield interleave(f"run --rm, {network}", "ms", subjects, rounds, sample)


def syncs(subjects: Sequence[Subject], _rounds: int) -> Iterable[Figure]:
    """How often the engine's processes wait for the disk in one `run --rm`, as strace sees it."""
    figure = Figure("fsync and the like in a run --rm, bridge", "", {})
    for subject in subjects:
        subject.run("run", "--rm", IMAGE, "true")
        with tempfile.NamedTemporaryFile("r") as seen:
            processes = [f"--attach={pid}" for pid in subject.processes()]
            command = ["strace", "-f", "-qq", "-o", seen.name, "-e", f"trace={','.join(SYNCS)}", *processes]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
                time.sleep(1)  # until it has attached itself to all threads
                for _ in range(TRACED):
                    subject.run("run", "--rm", IMAGE, "true")
                tracer.terminate()
            calls = [line for line in seen if re.search(r" = \d+$", line)]
        figure.samples[subject.name] = [len(calls) / TRACED]
    yield figure


def parallel(subjects: Sequence[Subject], rounds: int) -> Iterable[Figure]:
    """Fifty at eight at once."""

    def sample(subject: Subject) -> float:
        begun = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda _: subject.run("run", "--rm", IMAGE, "true"), range(MANY)))
        return MANY / (time.perf_counter() - begun)

    yield interleave(
        f"{MANY} x run --rm, {AT_ONCE} at once, bridge", "per s", subjects, max(1, rounds // 5), sample, warm=0
    )


def endings(subjects: Sequence[Subject], rounds: int) -> Iterable[Figure]:
    """stop and rm -f of a running container."""

    def stop(subject: Subject) -> float:
        name = subject.run("run", "-d", IMAGE, *OBEDIENT)
        time.sleep(0.2)  # the shell must have set its trap
        taken = subject.timed("stop", name)
        subject.run("rm", name)
        return taken

    def remove(subject: Subject) -> float:
        name = subject.run("run", "-d", IMAGE, *IDLE)
        return subject.timed("rm", "-f", name)

    yield interleave("stop (TERM is handled)", "ms", subjects, rounds, stop)
    yield interleave("rm -f, running", "ms", subjects, rounds, remove)


def execs(subjects: Sequence[Subject], rounds: int) -> Iterable[Figure]:
    """`exec true` in a running container: the whole command, and through the API alone."""
    names = {subject.name: subject.run("run", "-d", IMAGE, *IDLE) for subject in subjects}
    yield interleave("exec true", "ms", subjects, rounds, lambda s: s.timed("exec", names[s.name], "true"))
    yield interleave(
        "exec true, through the API", "ms", subjects, rounds, lambda s: execute(s.host, names[s.name]), warm=3
    )
    for subject in subjects:
        subject.run("rm", "-f", names[subject.name])


def execute(host: str, container: str) -> float:
    """Milliseconds from an exec's creation to its exit code, with one connection a request as clients do."""
    begun = time.perf_counter()
    made = call(host, "POST", f"/containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True})
    call(host, "POST", f"/exec/{made['Id']}/start", {})
    while call(host, "GET", f"/exec/{made['Id']}/json", None)["Running"]:
        pass
    return (time.perf_counter() - begun) * 1000


def call(host: str, method: str, path: str, body: object) -> Any:
    """The decoded answer; None for one that is no JSON."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(host.removeprefix("unix://"))
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    head_bytes, _, content = answer.partition(b"\r\n\r\n")
    if b" 4" in head_bytes[:12] or b" 5" in head_bytes[:12]:
        raise RuntimeError(f"{method} {path}: {content!r}")
    return json.loads(content[content.find(b"{") : content.rfind(b"}") + 1]) if b"{" in content else None


def stats(subjects: Sequence[Subject], rounds: int) -> Iterable[Figure]:
    """What fifty running containers use: by the client, and one sample of each through the API, all asked at once."""
    names = {}
    for subject in subjects:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            names[subject.name] = list(pool.map(lambda _, s=subject: s.run("run", "-d", IMAGE, *IDLE), range(MANY)))
    few = max(1, rounds // 3)
    yield interleave(
        f"stats --no-stream, {MANY} running", "ms", subjects, few, lambda s: s.timed("stats", "--no-stream")
    )
    yield interleave(
        f"one-shot stats of {MANY}, through the API", "ms", subjects, few, lambda s: sample_all(s.host, names[s.name])
    )
    for subject in subjects:
        subject.run("rm", "-f", *names[subject.name])


def sample_all(host: str, containers: Sequence[str]) -> float:
    """Milliseconds from the first request for a sample to the last answer."""
    begun = time.perf_counter()
    clients = []
    for container in containers:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(host.removeprefix("unix://"))
        client.sendall(f"GET /v1.41/containers/{container}/stats?stream=0&one-shot=1 HTTP/1.0\r\n\r\n".encode())
        clients.append(client)
    for client in clients:
        with client:
            with client.makefile("rb") as answers:
                answer = answers.read()
            if b'"cpu_stats"' not in answer:
                raise RuntimeError(f"no sample: {answer!r}")
    return (time.perf_counter() - begun) * 1000


def memory(subjects: Sequence[Subject], _rounds: int) -> Iterable[Figure]:
    """Memory of the engine's processes, idle, with none and with fifty containers."""
    for count in (0, MANY):
        figure = Figure(f"memory (PSS), {count} idle containers", "MiB")
        for subject in subjects:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                names = list(pool.map(lambda _, s=subject: s.run("run", "-d", IMAGE, *IDLE), range(count)))
            time.sleep(2)
            figure.samples[subject.name] = [subject.memory()]
            if names:
                subject.run("rm", "-f", *names)
        yield figure


MEASURES: Mapping[str, Callable[[Sequence[Subject], int], Iterable[Figure]]] = {
    "client": client,
    "run": run,
    "syncs": syncs,
    "parallel": parallel,
    "endings": endings,
    "exec": execs,
    "stats": stats,
    "memory": memory,
}
