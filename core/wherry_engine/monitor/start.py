"""Starting a created container: its process waits at a FIFO, which crun and runc serve each in its own way.

Serving it ourselves saves a run of the program (3-7 ms), and makes starting safe to repeat: no user's process runs twice.
An end of the FIFO that is opened and closed again with its holder's death would be told to the process as a failure, and
so the supervisor holds a copy of ours from the moment that there is one. Other runtimes are asked by their command line.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from wherry.errors import Conflict, Failed
from wherry.linux.loop import Timer
from wherry.linux.steps import step
from wherry_engine.monitor.clients import Reply
from wherry_engine.monitor.container import Container
from wherry_engine.monitor.runtime import Runtime

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor

PATIENCE = 2.0  # seconds until the program is asked why nobody writes
SHORT_PATIENCE = 0.1  # the same where an earlier monitor may have been told already


def _path(runtime: Runtime, id: str) -> str:
    return f"{runtime.state_of(id)}/exec.fifo"


def open_early(runtime: Runtime, id: str) -> int:
    """Our end of a new container's FIFO, where opening it starts nothing: crun's, whose process reads. Else -1."""
    if runtime.name != "crun":
        return -1
    try:
        return os.open(_path(runtime, id), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError as error:
        if error.errno != errno.ENXIO:  # the process has ended already
            raise
        return -1


def start(monitor: Monitor, container: Container, reply: Reply) -> None:
    """Let the container's process execute the user's program."""
    if container.exit is not None:
        if not container.meta.get("started"):
            raise Conflict(f"container {container.id} has ended already")
        reply.ok()  # asked of a monitor that has died since
        return
    runtime = Runtime(container.meta["runtime"], monitor.shared.root)
    again = bool(container.meta.get("started"))
    container.meta["started"] = True
    monitor.link.tell("note", id=container.id, meta=container.meta)
    if runtime.name == "crun" and container.fifo >= 0:
        _write(monitor, container, _path(runtime, container.id))
        reply.ok()
    elif runtime.name == "crun" and again:
        reply.ok()
    elif runtime.name == "runc":
        _Reading(monitor, runtime, container, reply, again=again).begin()
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


def let_go(monitor: Monitor, container: Container) -> None:
    """The FIFO has been served: close both copies of our end."""
    if container.fifo >= 0:
        os.close(container.fifo)
        container.fifo = -1
        monitor.link.tell("drop", id=container.id, names=["fifo"])


class _Reading:
    """runc's process writes, as soon as someone reads."""

    def __init__(self, monitor: Monitor, runtime: Runtime, container: Container, reply: Reply, *, again: bool) -> None:
        self._again = again  # an earlier monitor may have been told, and died before it removed the FIFO
        self._monitor, self._runtime, self._container, self._reply = monitor, runtime, container, reply
        self._path = _path(runtime, container.id)
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Open the FIFO, which lets the writer go on, unless an earlier monitor has done so."""
        container = self._container
        if container.fifo < 0 and not self._open():
            self._reply.ok()
            return
        self._monitor.loop.watch(container.fifo, self._readable)
        self._timer = self._monitor.loop.later(SHORT_PATIENCE if self._again else PATIENCE, self._silent)

    def _open(self) -> bool:
        container = self._container
        try:
            with step("monitor.start.fifo"):
                container.fifo = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                self._monitor.link.tell("keep", None, [container.fifo], id=container.id, names=["fifo"])
        except FileNotFoundError:
            return False
        except OSError:
            let_go(self._monitor, container)
            raise
        return True

    def _readable(self, _: int) -> None:
        try:
            told = bool(os.read(self._container.fifo, 1))
        except BlockingIOError:
            return
        if told:
            self._close()
            self._served()
        else:
            self._silent()

    def _silent(self) -> None:
        """Nobody writes: the process has gone on already, or the program knows why."""
        self._close()
        if self._again:
            self._served()
        else:
            _by_program(self._monitor, self._runtime, self._container, self._reply)

    def _served(self) -> None:
        try:
            with step("monitor.start.served"), suppress(FileNotFoundError):
                os.unlink(self._path)
        except OSError as error:
            self._reply.fail(error)
        else:
            self._reply.ok()

    def _close(self) -> None:
        self._monitor.loop.unwatch(self._container.fifo)
        let_go(self._monitor, self._container)
        if self._timer is not None:
            self._timer.cancel()
