"""The journal: what the engine is about to do is recorded before it is done (law 1).

An operation is undone or finished by one function, registered under the operation's name, that works from the recorded
data alone and may be repeated. It runs when the operation fails and, at the next start, for every intent that is left:
so a failed operation, a killed engine and a lost host take the same road back.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Failed, WherryError
from wherry.model.names import new_id
from wherry_engine.state.codec import decode, encode
from wherry_engine.state.database import Change, Database
from wherry_engine.work import Late

KIND = "intent"
_FULL = 1 << 20  # bytes free on a disk that was too small for something: what failed has given back a little
Finish = Callable[[str, Mapping[str, Any]], Awaitable[Sequence[Change]]]

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Intent:
    """One recorded intent: operation `name` on object `object`, with what its finish needs to know."""

    id: str  # rises, so that the newest can be undone first
    name: str
    object: str
    data: dict[str, Any]


def _disk_is_full(error: Exception, root: Path) -> bool:
    """Whether this error comes from a full data root. Other processes' errors are known by their words alone."""
    words = (os.strerror(errno.ENOSPC), "database or disk is full")
    free = os.statvfs(root)
    return any(each in str(error) for each in words) and (free.f_bavail * free.f_frsize < _FULL or not free.f_favail)


def _rising_id() -> str:
    return f"{time.time_ns():020d}-{new_id()[:8]}"


class Operation:
    """A running operation whose intent is recorded."""

    def __init__(self, database: Database, intent: Intent) -> None:
        self._database = database
        self.intent = intent
        self.committed = False

    @property
    def id(self) -> str:
        """The intent's id: names what the operation does in other processes."""
        return self.intent.id

    async def commit(self, *changes: Change, sync: bool = True) -> None:
        """Record the outcome and forget the intent, in one transaction: from now on the operation has happened."""
        await self._database.commit(*changes, Change(KIND, self.intent.id, None), sync=sync)
        self.committed = True

    async def note(self, **data: Any) -> None:
        """Add to the recorded data what only now is known. The next synced commit carries it to the disk."""
        self.intent = attrs.evolve(self.intent, data=self.intent.data | data)
        await self._database.commit(Change(KIND, self.intent.id, encode(self.intent)), sync=False)

    async def continue_as(self, name: str, *changes: Change) -> None:
        """Record an outcome and, in its place, the intent to go on: recovery will from now on finish `name`."""
        self.intent = attrs.evolve(self.intent, name=name)
        await self._database.commit(*changes, Change(KIND, self.intent.id, encode(self.intent)))


class Journal:
    """Intents of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finishes: dict[str, Finish] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._running: set[str] = set()  # intents whose operation is under way in this engine

    def register(self, name: str, finish: Finish) -> None:
        """`finish(object, data)` undoes or completes operations of this name and returns the rows to change."""
        self._finishes[name] = finish

    @asynccontextmanager
    async def operation(self, name: str, object: str, *, sync: bool = True, **data: Any) -> AsyncIterator[Operation]:
        """Record the intent, run the body, and undo it unless the body committed.

        `sync` False is for effects that die with the host (mounts, links, processes).
        """
        operation = Operation(self._database, Intent(id=_rising_id(), name=name, object=object, data=data))
        change = Change(KIND, operation.id, encode(operation.intent))
        await self._database.commit(change, sync=sync)
        self._running.add(operation.id)
        try:
            yield operation
        except Late as late:
            task = asyncio.create_task(self._finish_late(operation.intent, late))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise
        except (WherryError, OSError) as error:
            full = _disk_is_full(error, self._database.root)
            if not operation.committed:
                await asyncio.shield(self.finish_quietly(operation.intent))
            if full:
                raise Failed(
                    f"no space left on device: the disk of the data root {self._database.root} is full; remove containers, "
                    f"images or volumes that are not needed, or give it more space ({error})"
                ) from error
            raise
        except BaseException:
            if not operation.committed:
                await asyncio.shield(self.finish_quietly(operation.intent))
            raise
        finally:
            self._running.discard(operation.id)

    async def forward(self, name: str, object: str, *, sync: bool = True, **data: Any) -> None:
        """Record the intent and finish it; there is no way back. What fails is tried once more, then left to recovery."""
        intent = Intent(id=_rising_id(), name=name, object=object, data=data)
        await self._database.commit(Change(KIND, intent.id, encode(intent)), sync=sync)
        self._running.add(intent.id)
        try:
            await asyncio.shield(self._forward(intent))
        finally:
            self._running.discard(intent.id)

    async def _forward(self, intent: Intent) -> None:
        try:
            await self.finish(intent)
        except Exception:
            log.warning("%s of %s failed and is tried again", intent.name, intent.object, exc_info=True)
            await self.finish(intent)

    async def finish(self, intent: Intent) -> None:
        """Undo or complete what `intent` says and forget it."""
        changes = await self._finishes[intent.name](intent.object, intent.data)
        await self._database.commit(*changes, Change(KIND, intent.id, None))

    async def finish_quietly(self, intent: Intent) -> None:
        """As `finish`; the caller has an outcome of its own to report. What cannot be finished now stays recorded."""
        try:
            await self._forward(intent)
        except Exception:
            log.exception("%s of %s could not be finished; the next start tries again", intent.name, intent.object)

    async def _finish_late(self, intent: Intent, late: Late) -> None:
        self._running.add(intent.id)
        await asyncio.wait({late.pending})
        await self.finish_quietly(intent)
        self._running.discard(intent.id)

    def pending(self) -> list[Intent]:
        """What is recorded now."""
        return [decode(value, Intent) for _, value in self._database.load(KIND)]

    def unfinished(self) -> list[Intent]:
        """What is recorded and not under way: its finish failed, and only a next start or a repair tries again."""
        return [intent for intent in self.pending() if intent.id not in self._running]

    @property
    def busy(self) -> bool:
        """Whether any operation is under way."""
        return bool(self._running)

    def knows(self, name: str) -> bool:
        """Whether `finish` can deal with operations of this name."""
        return name in self._finishes

    async def recover(self) -> int:
        """Finish what is recorded and not under way, newest first; returns how many. One that fails is reported and stays."""
        intents = self.unfinished()
        for intent in reversed(intents):
            log.info("recovering: %s of %s", intent.name, intent.object)
            await self.finish_quietly(intent)
        return len(intents)
