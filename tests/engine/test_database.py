"""The database: group commit, all or nothing, and records that equal the rows."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from wherry.errors import Failed
from wherry.linux import steps
from wherry_engine.state.database import Change, Database
from wherry_engine.state.table import Table


@attrs.frozen
class Thing:
    name: str
    size: int = 0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "db")
    yield opened
    opened.close()


def things(database: Database) -> Table[Thing]:
    return Table(database, "thing", Thing, lambda thing: thing.name)


def test_a_committed_record_shows_and_is_there_after_reopening(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    table = things(database)
    asyncio.run(database.commit(table.put(Thing("a", 3))))
    assert table.get("a") == Thing("a", 3)
    database.close()
    again = Database(tmp_path / "db")
    assert list(things(again)) == [Thing("a", 3)]
    again.close()


def test_a_record_does_not_show_before_it_is_committed(database: Database) -> None:
    table = things(database)
    table.put(Thing("a"))
    assert table.get("a") is None


def test_hundreds_of_commits_at_once_all_arrive(database: Database) -> None:
    table = things(database)

    async def all_at_once() -> None:
        await asyncio.gather(*(database.commit(table.put(Thing(str(n), n)), sync=n % 2 == 0) for n in range(300)))

    asyncio.run(all_at_once())
    assert len(table) == 300
    assert len(dict(database.load("thing"))) == 300


def test_one_bad_change_of_several_leaves_none(database: Database) -> None:
    table = things(database)
    bad = Change("thing", None, b"{}")  # type: ignore[arg-type]
    with pytest.raises(Failed, match="could not be written"):
        asyncio.run(database.commit(table.put(Thing("a")), bad))
    assert table.get("a") is None
    assert list(database.load("thing")) == []


def test_a_cancelled_commit_shows_what_it_wrote(database: Database) -> None:
    table = things(database)

    async def cancelled() -> None:
        task = asyncio.create_task(database.commit(table.put(Thing("a"))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert (table.get("a") is not None) == bool(dict(database.load("thing")))


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"x" * 4096)
    with pytest.raises(Failed, match="cannot be opened"):
        Database(tmp_path / "db")


def test_fields_that_a_later_version_adds_get_their_default(database: Database) -> None:
    asyncio.run(database.commit(Change("thing", "old", b'{"name":"old"}')))
    assert things(database).get("old") == Thing("old", 0)


@pytest.mark.parametrize("place", ["before", "after"])
def test_free_pages_that_cannot_be_had_stop_neither_the_opening_nor_a_commit(tmp_path: Path, place: str) -> None:
    steps.arm(f"engine.database.spare=error@{place}")
    try:
        database = Database(tmp_path / "db")
    finally:
        steps.arm("")
    table = things(database)
    asyncio.run(database.commit(table.put(Thing("a", 3))))
    database.close()
    again = Database(tmp_path / "db")
    assert list(things(again)) == [Thing("a", 3)]
    again.close()


def test_what_is_committed_shows_also_when_nobody_waits_for_it_any_more(database: Database) -> None:
    table = things(database)

    async def impatient() -> None:
        task = asyncio.create_task(database.commit(table.put(Thing("a"))))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(impatient())
    assert table.get("a") == Thing("a")


def test_a_commit_that_comes_after_the_end_fails(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    table = things(database)
    database.close()
    with pytest.raises(Failed, match="is closed"):
        asyncio.run(asyncio.wait_for(database.commit(table.put(Thing("a"))), 5))
