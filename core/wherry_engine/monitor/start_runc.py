"""Starting what runc has created: its process writes into the FIFO as soon as someone reads, and then runs the program.

If the one reader is gone before the process has written, that is told to it as a failure (EPIPE), and it ends with status 1
as if the program had. So it is stopped (SIGSTOP) while only one process of ours reads: stopped, it neither writes nor even
returns from opening the FIFO, which begins anew when it goes on. It goes on once the supervisor holds our end as well.
The FIFO's file is removed before our end is let go: while it is there and nobody holds an end, nothing has been told.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from wherry.errors import Conflict, Unavailable
from wherry.linux.loop import Timer
from wherry.linux.process import is_stopped
from wherry.linux.steps import step
from wherry_engine.monitor.clients import Reply
from wherry_engine.monitor.container import Container
from wherry_engine.monitor.fifo import let_go

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor

PATIENCE = 2.0  # seconds for the process to stop, and to write
_PAUSE = 0.0002


class Reading:
    """One start."""

    def __init__(
        self,
        monitor: Monitor,
        container: Container,
        path: str,
        reply: Reply,
        silent: Callable[[], None],
        *,
        again: bool,
    ) -> None:
        """`path` is the FIFO; `silent` is called where nobody writes. `again`: an earlier monitor may have read already."""
        self._monitor, self._container, self._path, self._reply = monitor, container, path, reply
        self._again, self._ask_program = again, silent
        self._timer: Timer | None = None
        self._pauses = int(PATIENCE / _PAUSE)

    def begin(self) -> None:
        """Let the process go on, unless an earlier monitor has done so. Raises OSError."""
        if self._container.fifo >= 0:  # an earlier monitor's, which may have died before the process went on
            self._go()
        elif os.path.exists(self._path):
            with step("monitor.start.stop"):
                self._signal(signal.SIGSTOP)
            self._when_stopped()
        else:
            self._reply.ok()

    def _signal(self, number: int) -> None:
        if self._container.pidfd >= 0:  # else it had ended before it was known
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._container.pidfd, number)

    def _when_stopped(self) -> None:
        try:
            self._check()
            if not is_stopped(self._container.pid):
                if not self._pauses:
                    raise Unavailable(f"process {self._container.pid} does not stop to be started")
                self._pauses -= 1
                self._timer = self._monitor.loop.later(_PAUSE, self._when_stopped)
                return
            self._open()
            self._go()
        except (Conflict, Unavailable, OSError) as error:
            self._undo(error)

    def _check(self) -> None:
        """The path and the id may be another process's as soon as this one has ended. Raises Conflict."""
        if self._container.exit is not None:
            raise Conflict(f"container {self._container.id} has ended before its program began")

    def _open(self) -> None:
        with step("monitor.start.open"):
            self._container.fifo = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with step("monitor.start.keep"):
            self._monitor.link.tell("keep", None, [self._container.fifo], id=self._container.id, names=["fifo"])

    def _go(self) -> None:
        self._monitor.loop.watch(self._container.fifo, self._readable)
        self._timer = self._monitor.loop.later(PATIENCE, self._silent)
        with step("monitor.start.go"):
            self._signal(signal.SIGCONT)

    def _undo(self, problem: Exception) -> None:
        """Let the process wait as before."""
        self._close()
        with step("monitor.start.go"), suppress(OSError):
            self._signal(signal.SIGCONT)
        self._reply.fail(problem)

    def _readable(self, _: int) -> None:
        try:
            told = bool(os.read(self._container.fifo, 1))
        except BlockingIOError:
            return
        if told or self._again:  # the end without a word: it has been read by an earlier monitor
            self._served()
        else:
            self._silent()

    def _silent(self) -> None:
        """Nobody writes: the program knows why."""
        self._close()
        try:
            self._check()
            self._ask_program()
        except (Conflict, OSError) as error:
            self._reply.fail(error)

    def _served(self) -> None:
        try:
            with step("monitor.start.served"), suppress(FileNotFoundError):
                os.unlink(self._path)
        except OSError as error:
            self._reply.fail(error)
        else:
            self._reply.ok()
        self._close()

    def _close(self) -> None:
        self._monitor.loop.unwatch(self._container.fifo)
        let_go(self._monitor, self._container)
        if self._timer is not None:
            self._timer.cancel()
