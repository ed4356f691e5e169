"""The engines that a benchmark compares: Wherry, and peers started with roots of their own on a disk of the same kind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.engine import Engine, Places, remove_cgroups, wait_for, workplace

from wherry.testing import tasks

PODMAN_CONF = """\
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/usr/lib/cni"]
network_config_dir = "{folder}/cni"
"""


@dataclass
class Subject:
    """One engine under test, with the client that drives it."""

    name: str
    host: str
    programs: Callable[[str], bool]  # whether a program of this name is a part of the engine
    client: str = field(default_factory=lambda: shutil.which("docker") or "docker")

    def command(self, *arguments: str) -> list[str]:
        """The docker client's command line for this engine."""
        return [self.client, "-H", self.host, *arguments]

    def run(self, *arguments: str, stdin: Path | None = None) -> str:
        """Run a command of the client; RuntimeError when it fails."""
        with open(stdin or os.devnull, "rb") as source:
            done = subprocess.run(self.command(*arguments), stdin=source, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(arguments)}: status {done.returncode}: {done.stderr[-500:]}")
        return done.stdout.strip()

    def timed(self, *arguments: str) -> float:
        """Milliseconds that a command of the client takes."""
        begun = time.perf_counter()
        self.run(*arguments)
        return (time.perf_counter() - begun) * 1000

    def memory(self) -> float:
        """MiB of memory (PSS) of all its processes, without what runs in the containers."""
        total = 0.0
        for pid in self.processes():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                total += pss(pid)
        return total

    def processes(self) -> list[int]:
        """The engine's own, without what runs in the containers."""
        ours, found = os.readlink("/proc/self/ns/pid"), []
        for process in tasks.descendants(os.getpid()):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                program = Path(os.readlink(f"/proc/{process.pid}/exe")).name
                if os.readlink(f"/proc/{process.pid}/ns/pid") == ours and self.programs(program):
                    found.append(process.pid)
        return found


def pss(pid: int) -> float:
    """The proportional set size of a process in MiB: shared pages count by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def wherry() -> Iterator[Subject]:
    """Ours, as it is shipped: without the tests' audit."""
    with workplace() as where:
        engine = Engine(where, audited=False)
        try:
            yield Subject("wherry", where.host, lambda program: program.startswith("python"))
            engine.stop()
        finally:
            engine.discard()


@contextlib.contextmanager
def dockerd() -> Iterator[Subject]:
    """Debian's dockerd, with the containerd that it starts itself."""
    parts = {"dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "docker-proxy"}
    with workplace() as where:
        roots = ["--data-root", str(where.data), "--exec-root", str(where.run), "--pidfile", str(where.pidfile)]
        group = where.top.name
        try:
            with peer(where, ["dockerd", *roots, "--cgroup-parent", f"/{group}", "-H", where.host], {}):
                yield Subject("dockerd", where.host, parts.__contains__)
        finally:
            remove_cgroups(group)


@contextlib.contextmanager
def podman() -> Iterator[Subject]:
    """Podman's service."""
    with workplace() as where:
        configuration = where.top / "containers.conf"
        configuration.write_text(PODMAN_CONF.format(folder=where.top))
        roots = ["--root", str(where.data / "root"), "--runroot", str(where.run), "--tmpdir", str(where.top / "libpod")]
        command = ["podman", *roots, "system", "service", "-t", "0", where.host]
        with peer(where, command, {"CONTAINERS_CONF": str(configuration)}):
            yield Subject("podman", where.host, {"podman", "conmon"}.__contains__)


@contextlib.contextmanager
def peer(where: Places, command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Another engine, started and ended."""
    with where.log.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment}
        )
    try:
        wait_for(where.socket, process)
        yield
    except BaseException:
        print("\n".join(where.log.read_text(errors="replace").splitlines()[-20:]))
        raise
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


ENGINES = {"wherry": wherry, "dockerd": dockerd, "podman": podman}
