"""Records of one kind: immutable snapshots in memory, equal to the committed rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from wherry_engine.state.codec import decode, encode
from wherry_engine.state.database import Change, Database

T = TypeVar("T")


class Table(Generic[T]):
    """The records of one kind by id. Reads never wait; a change shows once it is committed."""

    def __init__(self, database: Database, kind: str, record: type[T], key: Callable[[T], str]) -> None:
        """Load all rows of `kind`."""
        self._kind, self._key = kind, key
        self._records = {id: decode(value, record) for id, value in database.load(kind)}

    def __iter__(self) -> Iterator[T]:
        """The records of this moment."""
        return iter(tuple(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def get(self, id: str) -> T | None:
        """The record, if there is one."""
        return self._records.get(id)

    def put(self, record: T) -> Change:
        """The change that writes `record` and then shows it."""
        id = self._key(record)
        return Change(self._kind, id, encode(record), lambda: self._records.__setitem__(id, record))

    def drop(self, id: str) -> Change:
        """The change that removes the record."""

        def forget() -> None:
            self._records.pop(id, None)

        return Change(self._kind, id, None, forget)
