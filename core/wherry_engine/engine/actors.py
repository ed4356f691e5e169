"""One queue per object: what happens to an object happens in order, and reads never wait for it (law 2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from wherry.errors import Conflict


class _Actor:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()  # asyncio's locks are first come, first served
        self.users = 0
        self.task: asyncio.Task[object] | None = None
        self.doing = ""
        self.interrupted_by = ""


class Actors:
    """The actors of all objects, by key ("container/ID"); they exist while somebody uses them."""

    def __init__(self, settle: Callable[[str], Awaitable[None]] | None = None) -> None:
        """`settle(object)` finishes what earlier operations on the object have left, before anybody looks at its record."""
        self._actors: dict[str, _Actor] = {}
        self._settle = settle

    @asynccontextmanager
    async def turn(self, key: str, doing: str) -> AsyncIterator[None]:
        """Do one thing to the object when its turn comes. Raises `Conflict` in the body's place if interrupted."""
        actor = self._actors.setdefault(key, _Actor())
        actor.users += 1
        try:
            async with actor.lock:
                if self._settle is not None:
                    await self._settle(key.partition("/")[2])
                actor.task, actor.doing, actor.interrupted_by = asyncio.current_task(), doing, ""
                try:
                    yield
                except asyncio.CancelledError as error:
                    if not actor.interrupted_by or actor.task is None:
                        raise
                    actor.task.uncancel()
                    raise Conflict(f"{doing} was interrupted by {actor.interrupted_by}") from error
                finally:
                    actor.task = None
        finally:
            actor.users -= 1
            if not actor.users:
                del self._actors[key]

    def interrupt(self, key: str, by: str, *, doing: str) -> bool:
        """Cancel what is being done to the object if that is `doing`; it undoes itself. False: it is not."""
        actor = self._actors.get(key)
        if actor is None or actor.task is None or actor.doing != doing or actor.interrupted_by:
            return False
        actor.interrupted_by = by
        actor.task.cancel()
        return True

    def doing(self, key: str) -> str:
        """What is being done to the object now; "" if nothing."""
        actor = self._actors.get(key)
        return actor.doing if actor is not None and actor.task is not None else ""
