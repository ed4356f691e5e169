"""Starting a created container: its process waits at a FIFO, which crun and runc serve each in its own way.

Serving it ourselves saves a run of the program (3-7 ms), and makes starting safe to repeat: no user's process runs twice.
An end of the FIFO that is opened and closed again with its holder's death would be told to the process as a failure, and
so the supervisor holds a copy of ours before the process can notice it. Other runtimes are asked by their command line.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from wherry.errors import Conflict, Failed
from wherry.linux.steps import step
from wherry_engine.monitor.clients import Reply
from wherry_engine.monitor.container import Container
from wherry_engine.monitor.fifo import let_go, path_of
from wherry_engine.monitor.runtime import Runtime
from wherry_engine.monitor.start_runc import Reading

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor


def start(monitor: Monitor, container: Container, reply: Reply) -> None:
    """Let the container's process execute the user's program."""
    if container.exit is not None:
        if not container.meta.get("started"):
            raise Conflict(f"container {container.id} has ended already")
        reply.ok()  # asked of a monitor that has died since
        return
    runtime = Runtime(container.meta["runtime"], monitor.shared.root)
    path = path_of(runtime, container.id)
    again = bool(container.meta.get("started"))
    container.meta["started"] = True
    monitor.link.tell("note", id=container.id, meta=container.meta)
    if runtime.name == "crun" and container.fifo >= 0:
        _write(monitor, container, path)
        reply.ok()
    elif runtime.name == "crun" and again:
        reply.ok()
    elif runtime.name == "runc":
        Reading(
            monitor, container, path, reply, lambda: _by_program(monitor, runtime, container, reply), again=again
        ).begin()
    else:
        _by_program(monitor, runtime, container, reply)


def _by_program(monitor: Monitor, runtime: Runtime, container: Container, reply: Reply) -> None:
    def done(status: int, error: str) -> None:
        if status:
            reply.fail(Failed(error))
        else:
            reply.ok()

    monitor.programs.run(runtime, ["start", container.id], done, step="monitor.start.spawn")


def _write(monitor: Monitor, container: Container, path: str) -> None:
    """Tell crun's process. A second word finds nobody, and does nothing."""
    with step("monitor.start.fifo"):
        with suppress(BrokenPipeError):
            os.write(container.fifo, b"0")
        with suppress(FileNotFoundError):
            os.unlink(path)
    let_go(monitor, container)
