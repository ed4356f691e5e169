"""Starting a created container: its process waits at a FIFO, which crun and runc serve each in its own way.

Serving it ourselves saves a run of the program (4-7 ms), and makes starting safe to repeat: a FIFO that is gone has been
served, and no user's process runs twice. Other runtimes are asked by their command line.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from wherry.errors import Conflict, Failed
from wherry.linux.steps import step
from wherry_engine.monitor.clients import Reply
from wherry_engine.monitor.container import Container
from wherry_engine.monitor.loop import Timer
from wherry_engine.monitor.runtime import Runtime

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor

PATIENCE = 2.0  # seconds until the program is asked why nobody writes
SHORT_PATIENCE = 0.1  # the same where an earlier monitor may have been told already


def start(monitor: Monitor, container: Container, reply: Reply) -> None:
    """Let the container's process execute the user's program."""
    if container.exit is not None:
        if not container.meta.get("started"):
            raise Conflict(f"container {container.id} has ended already")
        reply.ok()  # asked of a monitor that has died since
        return
    again = bool(container.meta.get("started"))
    container.meta["started"] = True
    monitor.link.tell("note", id=container.id, meta=container.meta)
    runtime = Runtime(container.meta["runtime"], monitor.shared.root)
    if not runtime.has_fifo():
        _by_program(monitor, runtime, container, reply)
        return
    fifo = f"{runtime.state_of(container.id)}/exec.fifo"
    if runtime.name == "crun":
        with step("monitor.start.fifo"):
            _write(fifo)
        reply.ok()
    else:
        _Reading(monitor, runtime, container, fifo, reply, again=again).begin()


def _by_program(monitor: Monitor, runtime: Runtime, container: Container, reply: Reply) -> None:
    def done(status: int, error: str) -> None:
        if status:
            reply.fail(Failed(error))
        else:
            reply.ok()

    monitor.programs.run(runtime, ["start", container.id], done)


def _write(fifo: str) -> None:
    """crun's process reads; it holds the FIFO open for that from its creation on."""
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENXIO:  # nobody reads any more: it has been told, but we died before the unlink
            raise
    else:
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)
    with suppress(FileNotFoundError):
        os.unlink(fifo)


class _Reading:
    """runc's process writes, as soon as someone reads."""

    def __init__(
        self, monitor: Monitor, runtime: Runtime, container: Container, fifo: str, reply: Reply, *, again: bool
    ) -> None:
        self._again = again  # an earlier monitor may have opened the FIFO, and died before it removed it
        self._monitor, self._runtime, self._container = monitor, runtime, container
        self._fifo, self._reply, self._fd = fifo, reply, -1
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Open the FIFO, which lets the writer go on."""
        try:
            with step("monitor.start.fifo"):
                self._fd = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._reply.ok()
            return
        except OSError:
            if self._fd >= 0:
                os.close(self._fd)
            raise
        self._monitor.loop.watch(self._fd, self._readable)
        self._timer = self._monitor.loop.later(SHORT_PATIENCE if self._again else PATIENCE, self._silent)

    def _readable(self, _: int) -> None:
        try:
            told = bool(os.read(self._fd, 1))
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
                os.unlink(self._fifo)
        except OSError as error:
            self._reply.fail(error)
        else:
            self._reply.ok()

    def _close(self) -> None:
        self._monitor.loop.unwatch(self._fd)
        os.close(self._fd)
        if self._timer is not None:
            self._timer.cancel()
