"""Disk space that the database owns in advance, so that it can commit when the disk has 0 bytes free (law 5).

A commit writes the write-ahead log (WAL); a checkpoint copies it into the database and lets the next commit begin the
WAL anew. So neither may have to grow when the disk is full: the WAL is written out to its full length once and never
cut, and the database keeps free pages. SQLite removes the WAL when the last connection closes, unless that cannot
write: a read-only one is therefore closed last. Its VFS `unix-excl` keeps the WAL's index in memory, where the usual
one has a third file that every opening cuts and makes grow again. Source: sqlite.org/wal.html, sqlite.org/vfs.html.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from wherry.linux.steps import step

CHECKPOINT = 500  # pages in the WAL after which it is copied back
WAL_SIZE = 4 << 20  # bytes: twice what it holds at a checkpoint, for the commits that come together with the last one
SPARE = 1 << 20  # bytes of free pages that the database gets at once
_PAGE = 4096


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes; no other process can open the database meanwhile. Raises sqlite3.Error."""
    writer = _connect(path, "rwc")
    writer.execute(f"PRAGMA page_size={_PAGE}")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT}")
    return writer


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that reads, to be opened after the writer's and closed after it."""
    reader = _connect(path, "ro")
    reader.execute("SELECT count(*) FROM object").fetchone()  # SQLite opens the WAL when it first reads
    return reader


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?vfs=unix-excl&mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)


def fill_wal(path: Path) -> None:
    """Write the WAL out to its full length, in zeros, which end it for SQLite. Raises OSError."""
    wal = os.open(f"{path}-wal", os.O_WRONLY | os.O_CLOEXEC)
    try:
        missing = WAL_SIZE - os.lseek(wal, 0, os.SEEK_END)
        if missing > 0:
            os.write(wal, bytes(missing))
            os.fsync(wal)
    finally:
        os.close(wal)


def keep_spare(writer: sqlite3.Connection, file: int) -> None:
    """Give the database free pages if few are left and the disk has room. `file` is the open database.

    The disk's blocks come first: pages that have none would make a later checkpoint fail, and the WAL grow. Raises
    OSError or sqlite3.Error; then all is as before.
    """
    (free,) = writer.execute("PRAGMA freelist_count").fetchone()
    if free * _PAGE >= SPARE // 2:
        return
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    with step("engine.database.spare"):
        os.posix_fallocate(file, pages * _PAGE, SPARE)
        writer.execute("INSERT OR REPLACE INTO object VALUES ('spare', '', zeroblob(?))", (SPARE - 16 * _PAGE,))
        writer.execute("DELETE FROM object WHERE kind = 'spare'")
