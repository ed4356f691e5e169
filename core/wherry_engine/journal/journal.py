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

from wherry.errors import Failed, Unavailable, WherryError
from wherry.model.names import new_id
from wherry_engine.state.codec import decode, encode
from wherry_engine.state.database import Change, Database
from wherry_engine.work import Late, to_the_end

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
    """A running operation. What it says of itself changes with the commit of the row that says it, never before or after."""

    def __init__(self, database: Database, intent: Intent) -> None:
        self._database = database
        self.intent = intent
        self.open = False  # recorded, and neither committed nor undone

    @property
    def id(self) -> str:
        """The intent's id: names what the operation does in other processes."""
        return self.intent.id

    async def commit(self, *changes: Change, sync: bool = True) -> None:
        """Record the outcome and forget the intent, in one transaction: from now on the operation has happened."""
        await self._database.commit(*changes, Change(KIND, self.intent.id, None, self._close), sync=sync)

    def _close(self) -> None:
        self.open = False

    async def note(self, **data: Any) -> None:
        """Add to the recorded data what only now is known. The next synced commit carries it to the disk."""
        await self.record(attrs.evolve(self.intent, data=self.intent.data | data), sync=False)

    async def continue_as(self, name: str, *changes: Change) -> None:
        """Record an outcome and, in its place, the intent to go on: recovery will from now on finish `name`."""
        await self.record(attrs.evolve(self.intent, name=name), *changes)

    async def record(self, intent: Intent, *changes: Change, sync: bool = True) -> None:
        """Let this be what recovery finishes."""

        def recorded() -> None:
            self.intent, self.open = intent, True

        await self._database.commit(*changes, Change(KIND, intent.id, encode(intent), recorded), sync=sync)


class Journal:
    """Intents of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finishes: dict[str, Finish] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[str] = set()  # intents whose operation is under way in this engine
        self._owed: dict[str, tuple[Intent, Exception]] = {}  # those whose finish has failed, and why
        self._late: dict[str, tuple[Intent, Late]] = {}  # those that wait for the end of a call, to be finished then

    def register(self, name: str, finish: Finish) -> None:
        """`finish(object, data)` undoes or completes operations of this name and returns the rows to change."""
        self._finishes[name] = finish

    @asynccontextmanager
    async def operation(self, name: str, object: str, *, sync: bool = True, **data: Any) -> AsyncIterator[Operation]:
        """Record the intent, run the body, and undo it unless the body committed.

        `sync` False is for effects that die with the host (mounts, links, processes). Raises as `_check`.
        """
        self._check(object)
        operation = Operation(self._database, Intent(id=_rising_id(), name=name, object=object, data=data))
        self._running.add(operation.id)
        try:
            await operation.record(operation.intent, sync=sync)
            yield operation
        except Late as late:
            if operation.open:
                self._finish_after(operation.intent, late)
            raise
        except (WherryError, OSError) as error:
            full = _disk_is_full(error, self._database.root)
            await self._undo(operation)
            if full:
                raise Failed(
                    f"no space left on device: the disk of the data root {self._database.root} is full; remove containers, "
                    f"images or volumes that are not needed, or give it more space ({error})"
                ) from error
            raise
        except BaseException:
            await self._undo(operation)
            raise
        finally:
            self._ended(operation.intent)

    async def _undo(self, operation: Operation) -> None:
        if operation.open:
            await to_the_end(self.finish_quietly(operation.intent))

    def _ended(self, intent: Intent) -> None:
        if intent.id not in self._late:
            self._running.discard(intent.id)

    def _check(self, object: str) -> None:
        """Raises `Unavailable` while a call of an earlier operation on the object has not returned, or what it has left
        cannot be finished: that would undo what comes now.
        """
        for intent, late in self._late.values():
            if intent.object == object:
                raise Unavailable(f"{object} can be used again when an earlier operation on it has ended: {late.text}")
        for intent, error in self._owed.values():
            if intent.object == object:
                raise Unavailable(f"{object} can be used again when its {intent.name} has been finished: {error}")

    async def settle(self, object: str) -> None:
        """Finish what operations on the object have left, in its turn, and before anybody looks at its record. What still
        cannot be finished keeps the object from its next operation.
        """
        for intent in [each for each, _ in self._owed.values() if each.object == object]:
            try:
                await to_the_end(self.finish(intent))
            except Exception:
                log.warning("%s of %s could not be finished now either", intent.name, object, exc_info=True)

    async def forward(self, name: str, object: str, *, sync: bool = True, **data: Any) -> None:
        """Record the intent and finish it; there is no way back, and a cancellation waits for the end. What fails is tried
        once more, then left to the object's next turn or to recovery. Raises as `_check`.
        """

        async def both() -> None:
            await self.keep(await self.promise(name, object, sync=sync, **data))

        await to_the_end(both())

    async def promise(self, name: str, object: str, *changes: Change, sync: bool = True, **data: Any) -> Intent:
        """The first half of `forward`: record the intent, and with it what counts from now on. The caller cannot be cancelled,
        and calls `keep`.
        """
        self._check(object)
        intent = Intent(id=_rising_id(), name=name, object=object, data=data)
        self._running.add(intent.id)
        try:
            await self._database.commit(*changes, Change(KIND, intent.id, encode(intent)), sync=sync)
        except BaseException:
            self._running.discard(intent.id)
            raise
        return intent

    async def keep(self, intent: Intent) -> None:
        """The second half of `forward`: finish what was promised."""
        try:
            await self._forward(intent)
        finally:
            self._ended(intent)

    async def _forward(self, intent: Intent) -> None:
        try:
            await self.finish(intent)
        except Late:
            raise
        except Exception:
            log.warning("%s of %s failed and is tried again", intent.name, intent.object, exc_info=True)
            await self.finish(intent)

    async def finish(self, intent: Intent) -> None:
        """Undo or complete what `intent` says and forget it. Raises `Late` for a call after whose end it is tried again."""
        finish = self._finishes[intent.name]
        self._owed.pop(intent.id, None)
        try:
            changes = await finish(intent.object, intent.data)
            await self._database.commit(*changes, Change(KIND, intent.id, None))
        except Late as late:
            self._finish_after(intent, late)
            raise
        except Exception as error:
            self._owed[intent.id] = (intent, error)
            raise

    async def finish_quietly(self, intent: Intent) -> None:
        """As `finish`; the caller has an outcome of its own to report. What cannot be finished now stays recorded."""
        try:
            await self._forward(intent)
        except Exception:
            log.exception(
                "%s of %s could not be finished; it is tried again before its next use", intent.name, intent.object
            )

    def _finish_after(self, intent: Intent, late: Late) -> None:
        """Finish it in the background, once the call has returned."""
        self._running.add(intent.id)
        self._late[intent.id] = (intent, late)

        async def finish() -> None:
            await asyncio.wait({late.pending})
            await self.finish_quietly(intent)
            if self._late[intent.id][1] is late:  # else another call is late by now, and has a task of its own
                del self._late[intent.id]
                self._running.discard(intent.id)

        task = asyncio.create_task(finish())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def pending(self) -> list[Intent]:
        """What is recorded now."""
        return [decode(value, Intent) for _, value in self._database.load(KIND)]

    def unfinished(self) -> list[Intent]:
        """What is recorded and not under way: its finish failed, and is tried again in the object's next turn, by a repair, or
        by the next start.
        """
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
