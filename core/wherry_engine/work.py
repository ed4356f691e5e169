"""Blocking work of the engine, in bounded pools of threads, each call inside a named step and with a deadline.

A call in a thread cannot be cancelled: a cancelled caller waits for its end, so that an undo never overlaps it. Past
its deadline the caller gets `Late`, cancelled or not, and whoever undoes waits for `Late.pending` first.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs

from wherry.errors import Unavailable
from wherry.linux.steps import step

T = TypeVar("T")
DEADLINE = 30.0


class Late(Unavailable):
    """A call has not returned by its deadline; `pending` is done when it does."""

    def __init__(self, text: str, pending: asyncio.Future[Any]) -> None:
        super().__init__(text)
        self.pending = pending


class Outcome(asyncio.Future[T]):
    """What a thread of ours will say. Whoever awaits it and is cancelled hears of that once it is there."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Nothing: a thread cannot be called back."""
        return False


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


@attrs.frozen(eq=False)
class _Call:
    """One call on its way through a thread. `waiter` is done when it is, or past its deadline."""

    work: Callable[[], Any]
    pending: Outcome[Any]
    waiter: Outcome[None]


class Pool:
    """Threads for one driver, or for the engine's own work.

    asyncio's own way into a thread takes three more turns of the event loop a call, which is most of what a short call
    costs.
    """

    def __init__(self, name: str, threads: int = 8) -> None:
        self.name = name
        self._most = threads
        self._threads: list[threading.Thread] = []
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._unfinished = 0  # calls, as the event loop knows

    async def run(self, where: str, function: Callable[[], T], deadline: float = DEADLINE) -> T:
        """Call `function` in a thread, inside step `where`. Raises what it raises, and `Late`."""

        def inside() -> T:
            with step(where):
                return function()

        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        call = _Call(lambda: context.run(inside), Outcome(loop=loop), Outcome(loop=loop))
        self._give(call)
        alarm = loop.call_later(deadline, _release, call.waiter)
        try:
            await call.waiter
        except asyncio.CancelledError:
            if call.pending.done():
                call.pending.exception()  # retrieved: the cancellation is what the caller reports
                raise
        finally:
            alarm.cancel()
        if not call.pending.done():
            raise Late(f"{self.name} did not finish {where} within {deadline:g} s", call.pending)
        result: T = call.pending.result()
        return result

    def _give(self, call: _Call) -> None:
        self._unfinished += 1
        self._calls.put(call)
        if len(self._threads) < min(self._unfinished, self._most):
            # Daemons: what hangs must not keep the engine from its end.
            thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            result, error = None, None
            try:
                result = call.work()
            except BaseException as raised:
                error = raised
            loop = call.pending.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._finish, call, result, error)
            del call, result, error  # an idle thread keeps nothing alive

    def _finish(self, call: _Call, result: Any, error: BaseException | None) -> None:
        self._unfinished -= 1
        if error is None:
            call.pending.set_result(result)
        else:
            call.pending.set_exception(error)
        _release(call.waiter)

    def close(self) -> None:
        """End the threads once they have done what they were given; hung ones are left behind."""
        for _ in self._threads:
            self._calls.put(None)


def _release(waiter: Outcome[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
