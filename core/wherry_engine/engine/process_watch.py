"""The engine's eye on the supervisor: one that is stopped or wedged is as bad as a dead one, and nobody else would see it.

The supervisor looks after the monitor, and the monitor takes the place of a dead supervisor. What neither can mend: a
supervisor that does not answer, and a monitor that does not while the supervisor is dead. The one to blame is killed. After
the supervisor its monitor goes on; after both a new supervisor is started, and exits that nobody could see are told as lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wherry.errors import WherryError
from wherry.linux.process import title_of
from wherry.linux.sockets import holders
from wherry.linux.steps import step
from wherry_engine.engine.process_link import Connection
from wherry_engine.monitor.protocol import MONITOR_TITLE, SUPERVISOR_TITLE

INTERVAL = 2.0  # seconds
MISSES = 5
"""Beats in turn without an answer: a supervisor is given up after 10 to 12 s. A stray or a job that hangs in the kernel keeps
it for two. The beats are counted by our own ticks, so that a host or an engine that stood still is no sign.
"""
_DEATH = 2.0  # seconds that a killed process may take to end: one in an uninterruptible call may never do so
log = logging.getLogger(__name__)


class Watch:
    """Asks the supervisor at intervals, and ends who keeps the answer from coming."""

    def __init__(self, run_root: Path, supervisor: Connection) -> None:
        self._run_root, self._supervisor = run_root, supervisor
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """There is a supervisor to look after."""
        self._task = asyncio.create_task(self._run(), name="watch over the supervisor")

    async def end(self) -> None:
        """There is none any more; what is being done is done first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        missed, asked = 0, self._ask()
        try:
            while True:
                await asyncio.sleep(INTERVAL)
                missed += 1
                if asked.done():
                    if asked.exception() is None:
                        missed = 0
                    asked = self._ask()
                if missed >= MISSES:
                    await end_silent(self._run_root)
                    missed = 0
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    def _ask(self) -> asyncio.Task[Any]:
        return asyncio.create_task(self._supervisor.call("hello"))


async def awake(run_root: Path) -> None:
    """End whoever keeps the supervisor's door open and does not answer there, if anybody does."""
    path, patience = run_root / "supervisor.sock", INTERVAL * MISSES
    connection = Connection(path, event=lambda _: None, greeted=lambda _: None, revive=_nobody, patience=patience)
    try:
        await connection.connect()
    except TimeoutError:
        await end_silent(run_root)
    except WherryError:  # nobody is there, or had to be waited for
        pass
    finally:
        await connection.close()


async def _nobody() -> None:
    raise _Nobody


class _Nobody(WherryError):
    """There is no such process."""


async def end_silent(run_root: Path) -> None:
    """Kill the supervisor that serves this exec root, or the monitor that should have taken its place; logs a failure."""
    await asyncio.to_thread(_end_silent, run_root)


def _end_silent(run_root: Path) -> None:
    try:
        found: Mapping[int, str] = {pid: title_of(pid) for pid in holders(str(run_root / "supervisor.sock"))}
    except OSError as error:  # the next beat tries again
        log.error("who should answer for the supervisor cannot be found out: %s", error)
        return
    title = SUPERVISOR_TITLE if SUPERVISOR_TITLE in found.values() else MONITOR_TITLE
    for pid in (pid for pid, its in found.items() if its == title):
        log.error("%s, process %d, does not answer, and is killed", title, pid)
        try:
            if not _kill(pid, title) and title == MONITOR_TITLE:
                _disown(run_root)
        except OSError as error:  # the next beat tries again
            log.error("process %d cannot be killed: %s", pid, error)


def _disown(run_root: Path) -> None:
    """It executes nothing any more, but until a call in the kernel ends, its sockets stay open: make room for others."""
    with step("processes.silent.disown"):
        for name in ("supervisor.sock", "monitor.sock"):
            with suppress(FileNotFoundError):
                os.unlink(run_root / name)


def _kill(pid: int, title: str) -> bool:
    """Kill it and wait; False if it does not end."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if title_of(pid) == title:  # else the number has come again
            with step("processes.silent.kill"), suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return bool(select.select([pidfd], [], [], _DEATH)[0])
    finally:
        os.close(pidfd)
