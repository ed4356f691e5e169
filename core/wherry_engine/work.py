"""Blocking work of the engine, in bounded pools of threads, each call inside a named step and with a deadline.

A call in a thread cannot be cancelled: a cancelled caller waits for its end, so that an undo never overlaps it. Past
its deadline the caller gets `Late`, cancelled or not, and whoever undoes waits for `Late.pending` first.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from wherry.errors import Unavailable
from wherry.linux.steps import step

P = ParamSpec("P")
T = TypeVar("T")
DEADLINE = 30.0


class Late(Unavailable):
    """A call has not returned by its deadline; `pending` is done when it does."""

    def __init__(self, text: str, pending: asyncio.Future[Any]) -> None:
        super().__init__(text)
        self.pending = pending


async def to_the_end(work: Awaitable[T]) -> T:
    """The result of what must not be left halfway. A cancellation, however often it comes, is raised once it has ended."""
    running, cancelled = asyncio.ensure_future(work), None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from (None if running.cancelled() else running.exception())
    return running.result()


class Pool:
    """Threads for one driver, or for the engine's own work."""

    def __init__(self, name: str, threads: int = 8) -> None:
        self.name = name
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, where: str, function: Callable[[], T], deadline: float = DEADLINE) -> T:
        """Call `function` in a thread, inside step `where`. Raises what it raises, and `Late`."""

        def inside() -> T:
            with step(where):
                return function()

        context = contextvars.copy_context()
        pending = asyncio.get_running_loop().run_in_executor(self._threads, context.run, inside)
        try:
            await to_the_end(asyncio.wait({pending}, timeout=deadline))
        except asyncio.CancelledError:
            if pending.done():
                pending.exception()  # retrieved: the cancellation is what the caller reports
                raise
        if not pending.done():
            raise Late(f"{self.name} did not finish {where} within {deadline:g} s", pending)
        return pending.result()

    def close(self) -> None:
        """End the threads once they are idle; hung ones are left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)
