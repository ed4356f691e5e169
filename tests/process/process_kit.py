"""A process tree in an exec root of its own, and bundles of a tiny busybox for real runtimes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from wherry.model.logs import LocalLog
from wherry.model.runtimes import Runtime
from wherry_engine.engine import processes as engine_processes
from wherry_engine.engine.process_upgrade import TreeCode, tree_code
from wherry_engine.engine.processes import Launch, Processes, ProcessExit
from wherry_engine.monitor.cgroups import Hierarchies, processes
from wherry_engine.monitor.cgroups import remove as remove_cgroups

BUSYBOX = "/bin/busybox"
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]
NO_LOG = LocalLog(format="none")
JSON_FILE = LocalLog(format="json-file")
SPURTS = "for i in $(seq 1 20); do seq 1 1000; usleep 5000; done"  # 20 times all numbers up to 1000
HYBRID = os.path.ismount("/sys/fs/cgroup/unified")


def runtime(name: str) -> Runtime:
    """crun or runc as a driver would find it on this host."""
    path = shutil.which(name)
    assert path is not None
    return Runtime((path,), "", hide_unified_cgroup=name == "crun" and HYBRID)


class Tree:
    """A process tree under test, with what it takes to run containers in it."""

    def __init__(self, root: Path, rootfs: Path, failpoints: str = "") -> None:
        self.root, self.rootfs = root, rootfs
        self.environment = {
            "PATH": os.environ["PATH"],
            "WHERRY_STEP_AUDIT": str(root / "audit"),
            "WHERRY_FAILPOINTS": failpoints,
            "WHERRY_TEST_FIRED": str(root / "fired"),
        }
        self.run_root = root / "run"
        self.group = f"wherry-test-{uuid.uuid4().hex[:8]}"
        self.exits: dict[str, ProcessExit] = {}
        self.runtime = runtime("crun")
        self.code = tree_code()
        self.processes: Processes
        self._ids: set[str] = set()

    async def connect(self) -> Processes:
        """Connect as a (new) engine."""
        with mock.patch.object(engine_processes, "tree_code", return_value=self.code):
            self.processes = await Processes.connect(self.run_root, on_exit=self._ended, environment=self.environment)
        return self.processes

    def _ended(self, exit: ProcessExit) -> None:
        assert exit.id not in self.exits, "told twice"
        self.exits[exit.id] = exit

    def launch(self, id: str, args: Sequence[str] | str, **options: Any) -> Launch:
        """What it takes to create a container; a text is run by the shell."""
        given: dict[str, Any] = {
            "tty": False,
            "stdin": False,
            "stdin_once": False,
            "log": JSON_FILE,
            "runtime": self.runtime,
        } | options
        bundle = self.bundle(id, ["/bin/sh", "-c", args] if isinstance(args, str) else args, tty=given["tty"])
        self._ids.add(id)
        return Launch(operation=uuid.uuid4().hex, id=id, bundle=bundle, log_path=self.log(id), **given)

    async def run(self, id: str, args: Sequence[str] | str, **options: Any) -> int:
        """Create and start a container; its pid."""
        pid = await self.processes.create(self.launch(id, args, **options))
        await self.processes.start(id)
        return pid

    def bundle(self, id: str, args: Sequence[str], *, tty: bool) -> Path:
        """An OCI bundle without any of the engine's security defaults."""
        folder = self.root / "bundles" / id
        folder.mkdir(parents=True, exist_ok=True)
        devices = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
        config = {
            "ociVersion": "1.0.2",
            "root": {"path": str(self.rootfs), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": devices},
            ],
            "process": {
                "terminal": tty,
                "user": {"uid": 0, "gid": 0},
                "args": list(args),
                "cwd": "/",
                "env": ["PATH=/bin"],
                "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")},
                "oomScoreAdj": 0,
            },
            "linux": {
                "cgroupsPath": f"/{self.group}/{id}",
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
                "resources": {"memory": {"limit": 1 << 26}, "pids": {"limit": 100}},
            },
        }
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def log(self, id: str) -> Path:
        """Where the container's log lies."""
        return self.root / f"{id}.log"

    def records(self, id: str) -> list[dict[str, str]]:
        """The newest log file's records."""
        return [json.loads(line) for line in self.log(id).read_bytes().splitlines()]

    def text(self, id: str) -> str:
        """The output as logged in the newest file."""
        return "".join(record["log"] for record in self.records(id))

    async def ended(self, id: str, seconds: float = 20) -> ProcessExit:
        """The container's exit, awaited."""
        await until(lambda: id in self.exits, seconds)
        return self.exits[id]

    async def status(self) -> dict[str, Any]:
        """What the supervisor says of itself: pid, monitor, held."""
        answer: dict[str, Any] = await self.processes._supervisor.call("status")
        return answer

    async def strike_monitor(self) -> None:
        """SIGKILL the monitor, if there is one at this moment."""
        pid = (await self.status())["monitor"]
        if pid > 0:  # 0 would be ourselves
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def kill_monitor(self) -> None:
        """SIGKILL the monitor and wait for its successor."""
        before = (await self.status())["monitor"]
        assert before > 0
        os.kill(before, signal.SIGKILL)
        while (await self.status())["monitor"] in (0, before):
            await asyncio.sleep(0.001)
        await self.processes.list()

    async def kill_supervisor(self) -> None:
        """SIGKILL the supervisor and wait until the monitor has taken its place."""
        before = await self.status()
        os.kill(before["pid"], signal.SIGKILL)
        assert (await self.status())["pid"] == before["monitor"]

    def force_end(self) -> None:
        """Kill whatever is left of this very tree: what was started in its exec root, and what is in its cgroup."""
        for number in (signal.SIGSTOP, signal.SIGKILL):  # first so that none of them replaces another
            for pid in self._left():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        for folder in Hierarchies().named(f"/{self.group}"):
            remove_cgroups([folder])

    def _left(self) -> set[int]:
        own = str(self.run_root).encode()
        found = processes(Hierarchies().named(f"/{self.group}"))
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError):
                if int(entry) != os.getpid() and own in Path(f"/proc/{entry}/cmdline").read_bytes():
                    found.add(int(entry))
        return found

    async def end(self) -> None:
        """Remove every container, and the processes."""
        for id in self._ids:
            await self.processes.delete(id, self.runtime)
        await self.processes.shutdown()
        for folder in Hierarchies().named(f"/{self.group}"):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(folder)


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so."""
    late = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < late, "it did not become so"
        await asyncio.sleep(0.002)


async def read_all(sock: socket.socket) -> bytes:
    """Everything that arrives until the end."""
    loop, data = asyncio.get_running_loop(), b""
    sock.setblocking(False)
    while block := await asyncio.wait_for(loop.sock_recv(sock, 1 << 16), 20):
        data += block
    return data


def unframed(data: bytes) -> list[tuple[int, bytes]]:
    """Docker's frames as (stream, text), neighbours of one stream joined."""
    found: list[tuple[int, bytes]] = []
    while data:
        stream, size = data[0], int.from_bytes(data[4:8], "big")
        text, data = data[8 : 8 + size], data[8 + size :]
        if found and found[-1][0] == stream:
            found[-1] = (stream, found[-1][1] + text)
        else:
            found.append((stream, text))
    return found


async def attach(
    tree: Tree, id: str, *, stdin: bool = False, stdout: bool = True, stderr: bool = True
) -> socket.socket:
    """Our end of a new attach."""
    ours, theirs = socket.socketpair()
    with theirs:
        await tree.processes.attach(id, theirs, stdin=stdin, stdout=stdout, stderr=stderr)
    return ours


@contextlib.asynccontextmanager
async def tree(
    tmp_path: Path, rootfs: Path, *, failpoints: str = "", code: TreeCode | None = None
) -> AsyncIterator[Tree]:
    """A fresh tree, of this code if not of our own, ended after use."""
    fresh = Tree(tmp_path, rootfs, failpoints)
    fresh.code = code or fresh.code
    await fresh.connect()
    try:
        yield fresh
    finally:
        try:
            await asyncio.wait_for(fresh.end(), 20)
        except Exception as error:
            fresh.force_end()
            first = "".join(traceback.format_exception(error))  # with what the test itself has met, if anything
            raise AssertionError(first + (fresh.run_root / "processes.log").read_text()) from error
        log = fresh.run_root / "processes.log"
        if log.exists() and "Traceback" in log.read_text() and not failpoints:
            pytest.fail(log.read_text())
        outside = (tmp_path / "audit").read_text() if (tmp_path / "audit").exists() else ""
        assert not outside, "side effects outside a step"


Body = Callable[[Tree], Awaitable[None]]
Scenario = Callable[[Body], None]
