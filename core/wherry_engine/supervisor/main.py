"""The life of a process of the tree: supervisor at first, or the monitor that it forks, or what either becomes later."""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import socket
import sys
import traceback

from wherry.linux import sockets
from wherry.linux.process import reset_signals, set_oom_score
from wherry.linux.steps import arm, enforce, step
from wherry_engine.monitor import passing
from wherry_engine.monitor.main import Monitor
from wherry_engine.monitor.passing import SUPERVISOR
from wherry_engine.monitor.progress import SIZE
from wherry_engine.monitor.report import report
from wherry_engine.monitor.shared import Shared
from wherry_engine.monitor.upgrade import CHECK, TAKE
from wherry_engine.supervisor.supervisor import Supervisor

AUDIT = "WHERRY_STEP_AUDIT"  # a file that gets a line for each side effect outside a step, as wherryd's does
_OOM_SCORE = -999
_BIN = 1 << 20


def prepare(root: str, code: str) -> Shared:
    """Make what supervisor and monitor share, in an exec root that exists."""
    with step("supervisor.prepare"):
        for name in ("exits", "work", "runtime"):
            os.makedirs(f"{root}/{name}", mode=0o700, exist_ok=True)
        monitor = sockets.listen(f"{root}/monitor.sock")
        supervisor = sockets.listen(f"{root}/supervisor.sock")
    read, write = os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _BIN)
    os.close(write)
    progress = os.memfd_create("progress", os.MFD_CLOEXEC)
    with step("supervisor.prepare"):
        os.ftruncate(progress, SIZE)
    return Shared(root, code, dict(os.environ), supervisor, monitor, read, progress)


def _audit() -> None:
    """Report side effects outside any step, of this process and all that it forks."""
    path = os.environ.get(AUDIT)
    if not path:
        return

    def note(line: str) -> None:
        file = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )  # each time: a forked child closes what it inherits
        try:
            os.write(file, f"process tree, pid {os.getpid()}: {line}\n".encode())
        finally:
            os.close(file)

    enforce(note)


def resume(memory: int) -> Supervisor | Monitor:
    """What this process was before it became this code."""
    passed = passing.read(memory)
    if passed.role == SUPERVISOR:
        with step("supervisor.upgrade.take"):
            shared = passing.take(passed)
        return Supervisor(shared, passed.held, passed.ports, passed)
    with step("monitor.upgrade.take"):
        shared = passing.take(passed)
    return Monitor(shared, socket.socket(fileno=passed.fds["channel"]), passed.held, passed.ports, passed.number)


def live(role: Supervisor | Monitor) -> None:
    """Be what is needed until the tree is told to end."""
    while True:
        if isinstance(role, Supervisor):
            monitor = role.run()
            if monitor is None:
                return
            role = monitor
        else:
            held = role.run()
            report("the supervisor has died; its monitor takes its place")
            arm("")  # a failpoint fires once, not once in each life
            role = Supervisor(role.shared, held, role.ports.all)


def main(arguments: list[str]) -> None:
    """Run in an exec root: ROOT CODE begins there; what Upgrade asks for goes on there, or says whether it could."""
    root, *rest = arguments
    if rest[0] == CHECK:
        passing.examine(passing.read(int(rest[1])))
        return
    reset_signals()
    _audit()
    os.umask(0o022)
    os.chdir("/")
    set_oom_score(_OOM_SCORE)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # a container takes 3-6 descriptors, a published port one
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        role = resume(int(rest[1])) if rest[0] == TAKE else Supervisor(prepare(root, rest[0]))
        gc.collect()
        gc.freeze()
        live(role)
    except BaseException:  # the process's border
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)
    os._exit(0)
