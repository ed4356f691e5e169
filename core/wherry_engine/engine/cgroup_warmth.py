"""Keep the kernel's lock for cgroup changes fast while a client is about to start something.

A process that is put into a cgroup waits 6-16 ms for an RCU grace period if nobody has taken the lock for about 15 ms.
A client's commands come in sequences: each keeps the lock warm for the next.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import TypeVar

from wherry.linux.process import cgroup_touch

KEPT = 0.5  # s after the last sign of a client
INTERVAL = 0.008  # s between two touches: 62 of them take 2-3 ms in all

T = TypeVar("T")


class CgroupWarmth:
    """The lock, as far as this process keeps it warm."""

    def __init__(self) -> None:
        self._until = 0.0
        self._warm: asyncio.Future[Callable[[], None]] | None = None
        self._keeping: asyncio.Future[None] | None = None

    async def renew(self) -> None:
        """Keep the lock warm for a while from now on. Returns when it is warm; raises OSError if nothing can be moved."""
        self._until = time.monotonic() + KEPT
        if self._keeping is not None and not self._keeping.done():
            return
        if self._warm is None or self._warm.done():
            self._warm = _thread(_warm_up)
        touch = await asyncio.shield(self._warm)
        if self._keeping is None or self._keeping.done():
            self._keeping = _thread(lambda: self._keep(touch))

    def _keep(self, touch: Callable[[], None]) -> None:
        while time.monotonic() < self._until:
            time.sleep(INTERVAL)
            touch()

    async def stop(self) -> None:
        """Let it cool."""
        self._until = 0.0
        if self._keeping is not None:
            await asyncio.wait([self._keeping])


def _warm_up() -> Callable[[], None]:
    touch = cgroup_touch()
    touch()
    return touch


def _thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """`work`, in a thread that knows the present step."""
    return asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, work)
