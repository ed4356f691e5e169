"""The OCI runtime's command line: running it, and what it says when it fails."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from wherry.linux import steps
from wherry.linux.process import without_mount
from wherry.linux.sealed import SealedProgram
from wherry.linux.spawn import spawn

UNIFIED = "/sys/fs/cgroup/unified"
Done = Callable[[int, str], None]
"""Called with the program's exit status and, where that is not 0, its last error."""


class Runtime:
    """One runtime, as messages describe it: argv, hide_unified_cgroup."""

    def __init__(self, description: Mapping[str, Any], run_root: str) -> None:
        self.argv: Sequence[str] = description["argv"]
        self.hide = bool(description["hide_unified_cgroup"])
        self.name = os.path.basename(self.argv[0])
        self.root = f"{run_root}/runtime/{self.name}"

    def state_of(self, id: str) -> str:
        """The folder in which the runtime keeps a container's state."""
        return f"{self.root}/{id}"

    def is_known(self) -> bool:
        """Whether we know its ways: it waits at a FIFO when it is created, and copies itself unless it runs from a copy."""
        return self.name in ("crun", "runc")


class Programs:
    """The runtimes that are running. Their ends are told by whoever reaps this process's children."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {"PATH": environment.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
        self._running: dict[int, tuple[str, int, Done]] = {}  # by pid: the runtime's name, its log, whom to tell
        self._sealed: dict[str, SealedProgram] = {}  # by path
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def __bool__(self) -> bool:
        return bool(self._running)

    def run(
        self, runtime: Runtime, arguments: Sequence[str], done: Done, stdio: Sequence[int] = (), *, step: str
    ) -> int:
        """Start the runtime with these arguments, in a step of this name; its pid. Raises OSError."""
        log = os.memfd_create("runtime-log", os.MFD_CLOEXEC)
        given = ["--root", runtime.root, "--log", f"/proc/{os.getpid()}/fd/{log}", "--log-format", "json"]
        creating, pid = "create" in arguments[:1], -1
        try:
            with steps.step(step):
                with without_mount(UNIFIED, self._home) if runtime.hide and creating else nullcontext():
                    argv = [*runtime.argv, *given, *arguments]
                    streams = stdio or (self._null, self._null, self._null)
                    pid = spawn(argv, self._environment, streams, program=self._program(runtime))
        except BaseException:
            os.close(log)
            if pid > 0:  # nobody would hear of it
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise
        self._running[pid] = (runtime.name, log, done)
        return pid

    def _program(self, runtime: Runtime) -> str:
        path = runtime.argv[0]
        if not runtime.is_known():
            return path
        if path not in self._sealed:
            self._sealed[path] = SealedProgram(path)
        return self._sealed[path].current()

    def ended(self, pid: int, status: int) -> bool:
        """A child has ended; False if it was no runtime of ours."""
        if pid not in self._running:
            return False
        name, log, done = self._running.pop(pid)
        error = _last_error(log) or f"{name} ended with status {status}" if status else ""
        os.close(log)
        done(status, error)
        return True

    @property
    def null(self) -> int:
        """A descriptor of /dev/null, for a container without stdin."""
        return self._null

    def close(self) -> None:
        """Give up what this holds. Nobody is told of what still runs."""
        for _, log, _ in self._running.values():
            os.close(log)
        for program in self._sealed.values():
            program.close()
        os.close(self._home)
        os.close(self._null)


def _last_error(log: int) -> str:
    """The text of the last error in a runtime's JSON log, or its last line if that is something else."""
    text = ""
    for line in os.pread(log, 1 << 16, 0).decode("utf-8", "replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            text = line
            continue
        if isinstance(record, dict) and record.get("level") in ("error", "fatal"):
            text = str(record.get("msg", ""))
    return text
