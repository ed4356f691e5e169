"""Restart policies: whether a container whose process has ended is started again, and when. Docker's rules and times."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from wherry.errors import NotModified, WherryError
from wherry.model.containers import Container

FIRST_DELAY, LONGEST_DELAY = 0.1, 60.0  # s
LONG_RUN = 10.0  # s of running after which a failure counts as the first one again
AT_ONCE = 8  # starts under way at the engine's start, so that none waits past its deadlines for the others

Start = Callable[[str], Awaitable[None]]

log = logging.getLogger(__name__)


def wants_restart(container: Container, exit_code: int) -> bool:
    """Whether its policy starts it again after this end."""
    policy = container.host.restart_policy
    if policy.name == "on-failure":
        return exit_code != 0 and not 0 < policy.maximum_retry_count <= container.restart_count
    return policy.name == "always" or (policy.name == "unless-stopped" and not container.manually_stopped)


def wants_start(container: Container) -> bool:
    """Whether its policy starts it with the engine. As in Docker, only `unless-stopped` minds that a user stopped it."""
    return container.state.started_ns > 0 and wants_restart(container, container.state.exit_code)


class Restarts:
    """The restarts that are due, and what users want of those that run. Lost with the engine, whose next start decides anew."""

    def __init__(self) -> None:
        self._delays: dict[str, float] = {}
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._forbidden: set[str] = set()
        self.replaced: set[str] = set()  # to be started again by hand once ended, and so not removed at their end
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._opened = asyncio.Event()  # what begins before would only delay the engine's first answers
        self._closed = False

    def open(self) -> None:
        """The engine answers: what is due may begin."""
        self._opened.set()

    def reset(self, id: str) -> None:
        """Somebody starts the container: what was before does not count."""
        self.cancel(id)
        self._delays.pop(id, None)
        self._forbidden.discard(id)

    def forbid(self, id: str) -> None:
        """Somebody ends the container: whatever its policy, this end is the last until somebody starts it."""
        self._forbidden.add(id)

    def wanted(self, container: Container, exit_code: int) -> bool:
        """Whether to start the container again after this end."""
        return container.id not in self._forbidden and wants_restart(container, exit_code)

    def schedule(self, id: str, ran: float, start: Start) -> None:
        """Call `start` when the container's time has come. `ran` are the seconds for which it ran."""
        self.cancel(id)
        last = 0.0 if ran >= LONG_RUN else self._delays.get(id, 0.0)
        self._delays[id] = min(2 * last or FIRST_DELAY, LONGEST_DELAY)
        if not self._closed:
            self._due[id] = asyncio.get_running_loop().call_later(self._delays[id], self._begin, id, start)

    def _begin(self, id: str, start: Start) -> None:
        self._due.pop(id, None)
        self._spawn(id, start)

    def cancel(self, id: str) -> None:
        """Forget a restart that has not begun."""
        if due := self._due.pop(id, None):
            due.cancel()

    def start_soon(self, id: str, start: Start) -> None:
        """Start a container with the engine, in the background."""

        async def begin(id: str) -> None:
            async with self._slots:
                if not self._closed:
                    await start(id)

        self._spawn(id, begin)

    def _spawn(self, id: str, start: Start) -> None:
        async def run() -> None:
            await self._opened.wait()
            if self._closed:
                return
            try:
                await start(id)
            except NotModified:
                log.debug("container %s was started meanwhile", id)
            except WherryError as error:
                log.warning("container %s was not started again: %s", id, error)

        task = asyncio.create_task(run(), name=f"restart of {id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self._closed = True
        self._opened.set()
        for id in tuple(self._due):
            self.cancel(id)
        if self._tasks:
            await asyncio.wait(self._tasks)
