"""The engine's database: rows of (kind, id, JSON) in SQLite, written by one thread with group commit.

Many commits that arrive together become one transaction. A commit with `sync` is on the disk when it returns; one
without is in the kernel's page cache: it survives the engine's death, not the host's. Source: sqlite.org/wal.html,
sqlite.org/pragma.html#pragma_synchronous (NORMAL does not sync the WAL at commit, FULL does).
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from wherry.errors import Failed
from wherry.linux.steps import step
from wherry_engine.state.space import fill_wal, keep_spare, open_reader, open_writer
from wherry_engine.work import Outcome

SCHEMA = """
CREATE TABLE IF NOT EXISTS object (kind TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, id))
WITHOUT ROWID
"""

log = logging.getLogger(__name__)


def _nothing() -> None:
    """A change that publishes nothing."""


@attrs.frozen
class Change:
    """One row to write, or to drop if `value` is None. `publish` runs in the event loop once it is committed, whether
    or not somebody still waits for the commit: what is in memory and what is in the rows never differ for long.
    """

    kind: str
    id: str
    value: bytes | None
    publish: Callable[[], None] = _nothing


@attrs.frozen
class _Request:
    changes: Sequence[Change]
    sync: bool
    done: Outcome[None]


class Database:
    """Rows of the engine. `load` reads; `commit` writes, all or nothing."""

    def __init__(self, path: Path) -> None:
        """Open or make the database. Raises `Failed` with the path if it cannot be used."""
        self._path = path
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        try:
            with step("engine.database.open"):
                self._open()
        except (sqlite3.Error, OSError) as error:
            raise Failed(f"the database {path} cannot be opened: {error}") from error
        self._sync = ""
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="database", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        self._writer = open_writer(self._path)
        self._writer.execute(SCHEMA)
        fill_wal(self._path)
        # Held until SQLite has closed its own: closing any descriptor of a file gives up the process's locks on it.
        self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._keep_spare()
        self._reader = open_reader(self._path)

    def load(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """All rows of a kind as (id, value)."""
        yield from self._reader.execute("SELECT id, value FROM object WHERE kind = ? ORDER BY id", (kind,)).fetchall()

    async def commit(self, *changes: Change, sync: bool = True) -> None:
        """Write these rows in one transaction, then publish them. Raises `Failed`; then nothing is written.

        A cancelled caller waits for the outcome all the same, so that what it does next meets no commit under way.
        """
        if self._closed:
            raise Failed(f"the database {self._path} is closed: the engine has ended")
        done: Outcome[None] = Outcome(loop=asyncio.get_running_loop())
        self._queue.put(_Request(changes, sync, done))
        await done

    @property
    def root(self) -> Path:
        """The folder that it lies in."""
        return self._path.parent

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, last = [first], False
            while not self._queue.empty():
                request = self._queue.get()
                if request is None:
                    last = True
                    break
                batch.append(request)
            self._transaction(batch)
            if last:
                break
            if self._queue.empty():
                self._keep_spare()

    def _transaction(self, batch: Sequence[_Request]) -> None:
        error: Failed | None = None
        try:
            self._synchronous("FULL" if any(request.sync for request in batch) else "NORMAL")
            self._writer.execute("BEGIN IMMEDIATE")
            for request in batch:
                for change in request.changes:
                    self._apply(change)
            self._writer.execute("COMMIT")
        except sqlite3.Error as cause:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            error = Failed(f"the database {self._path} could not be written: {cause}")
            error.__cause__ = cause
        for loop in {request.done.get_loop() for request in batch}:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._answer, loop, batch, error)

    def _keep_spare(self) -> None:
        """A database that has grown gets free pages again; if the disk has no room for them, after a later commit."""
        try:
            keep_spare(self._writer, self._file)
        except (sqlite3.Error, OSError) as error:
            log.debug("the database %s cannot be given free pages: %s", self._path, error)

    @staticmethod
    def _answer(loop: asyncio.AbstractEventLoop, batch: Sequence[_Request], error: Failed | None) -> None:
        for request in batch:
            if request.done.get_loop() is not loop:
                continue
            if error is not None:
                request.done.set_exception(error)
                continue
            try:
                for change in request.changes:
                    change.publish()
            finally:
                request.done.set_result(None)

    def _synchronous(self, mode: str) -> None:
        if mode != self._sync:
            self._writer.execute(f"PRAGMA synchronous={mode}")
            self._sync = mode

    def _apply(self, change: Change) -> None:
        if change.value is None:
            self._writer.execute("DELETE FROM object WHERE kind = ? AND id = ?", (change.kind, change.id))
        else:
            row = (change.kind, change.id, change.value)
            self._writer.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?)", row)

    def close(self) -> None:
        """Finish what is queued and close the file; what comes later fails."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        with step("engine.database.close"):
            self._writer.close()
            self._reader.close()
            os.close(self._file)
