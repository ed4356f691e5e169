"""Execs that were being started when their monitor died: their runtimes finish, and what they have made is held.

Killing such a runtime would leave its process in the container's cgroup, known to nobody: crun makes it by way of a child
that exits, so that its parent does not tell. A runtime ends by itself within milliseconds, and leaves a pid file.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from wherry.linux.process import children, parent_of
from wherry_engine.monitor.execs import MARK, pid_file
from wherry_engine.supervisor.held import Holdings

PATIENCE = 2.0  # seconds for a runtime; one that hangs is killed with the other strays
_PAUSE = 0.001


def finish_starts(work: str, holdings: Holdings) -> None:
    """Wait for the runtimes, and hold the processes that they have made."""
    begun = {pid_file(work, entry.id): entry for entry in holdings.begun() if MARK in entry.meta}
    late = time.monotonic() + PATIENCE
    while begun and time.monotonic() < late and any(begun.keys() & _words(pid) for pid in children()):
        time.sleep(_PAUSE)
    for path, entry in begun.items():
        with suppress(OSError, ValueError):
            with open(path) as file:
                pid = int(file.read())
            if parent_of(pid) == os.getpid():  # else it has ended, or the number has come again
                holdings.started(entry, pid, os.pidfd_open(pid))


def _words(pid: int) -> set[str]:
    """The command line of a process, empty for a zombie."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return {os.fsdecode(word) for word in file.read().split(b"\0")}
    except OSError:
        return set()
