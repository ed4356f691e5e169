"""What lies on disk: files and rows. Probes as in `kernel`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from wherry.testing.kernel import Found, numbered


def files(roots: Sequence[Path]) -> Found:
    """Everything below these folders, and the folders themselves."""
    names: list[str] = []
    for root in roots:
        if not os.path.lexists(root):
            continue
        names.append(str(root))
        for folder, folders, plain in os.walk(root):
            names.extend(os.path.join(folder, name) for name in sorted([*folders, *plain]))
    return numbered(names)


def rows(databases: Sequence[Path]) -> Found:
    """The rows of every table of these SQLite databases; a missing file has none.

    A running engine lets nobody else into its database: it must have ended.
    """
    found: Found = {}
    for database in databases:
        if not database.exists():
            continue
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
            )
            for (table,) in tables.fetchall():
                found.update(_rows_of(connection, table))
        finally:
            connection.close()
    return found


def _rows_of(connection: sqlite3.Connection, table: str) -> Found:
    columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
    primary = [index for index, column in enumerate(columns) if column[5]] or list(range(len(columns)))
    found: Found = {}
    for row in connection.execute(f'SELECT * FROM "{table}"'):
        key = ", ".join(f"{columns[index][1]}={_short(row[index])}" for index in primary)
        found[f"{table}: {key}"] = "(" + ", ".join(_short(value) for value in row) + ")"
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}... of {len(text)} characters, checksum {hash(text):x}"
