"""The journal: undo on failure, finish at the next start, late calls waited for."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change, Database
from wherry_engine.work import Late, Pool


class Undone:
    """Remembers what was finished; fails the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._failures = failures

    async def __call__(self, object: str, data: Mapping[str, Any]) -> Sequence[Change]:
        if self._failures:
            self._failures -= 1
            raise OSError("not yet")
        self.calls.append((object, dict(data)))
        return ()


def run(path: Path, body: Callable[[Journal], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        database = Database(path / "db")
        try:
            await body(Journal(database))
        finally:
            database.close()

    asyncio.run(inside())


def test_a_committed_operation_is_not_undone_and_leaves_no_intent(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        undone = Undone()
        journal.register("make", undone)
        async with journal.operation("make", "x") as operation:
            assert len(journal.pending()) == 1
            await operation.commit()
        assert not undone.calls
        assert not journal.pending()

    run(tmp_path, body)


async def note_and_fail(journal: Journal) -> None:
    async with journal.operation("make", "x", key="k") as operation:
        await operation.note(more=1)
        raise ValueError("boom")


def test_a_failed_operation_is_undone_with_the_recorded_data(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        undone = Undone()
        journal.register("make", undone)
        with pytest.raises(ValueError, match="boom"):
            await note_and_fail(journal)
        assert undone.calls == [("x", {"key": "k", "more": 1})]
        assert not journal.pending()

    run(tmp_path, body)


def test_a_cancelled_operation_is_undone(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        undone = Undone()
        journal.register("make", undone)

        async def operate() -> None:
            async with journal.operation("make", "x"):
                await asyncio.sleep(60)

        task = asyncio.create_task(operate())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert undone.calls == [("x", {})]

    run(tmp_path, body)


def test_an_intent_that_a_killed_engine_left_is_finished_at_the_next_start(tmp_path: Path) -> None:
    async def killed(journal: Journal) -> None:
        journal.register("make", Undone(failures=9))
        with pytest.raises(ValueError, match="boom"):
            async with journal.operation("make", "x", key="k"):
                raise ValueError("boom")
        assert len(journal.pending()) == 1

    async def recovered(journal: Journal) -> None:
        undone = Undone()
        journal.register("make", undone)
        assert await journal.recover() == 1
        assert undone.calls == [("x", {"key": "k"})]
        assert not journal.pending()

    run(tmp_path, killed)
    run(tmp_path, recovered)


def test_recovery_finishes_the_newest_intent_first(tmp_path: Path) -> None:
    async def killed(journal: Journal) -> None:
        journal.register("make", Undone(failures=99))
        for name in ("first", "second", "third"):
            with pytest.raises(ValueError, match="boom"):
                async with journal.operation("make", name):
                    raise ValueError("boom")

    async def recovered(journal: Journal) -> None:
        undone = Undone()
        journal.register("make", undone)
        await journal.recover()
        assert [name for name, _ in undone.calls] == ["third", "second", "first"]

    run(tmp_path, killed)
    run(tmp_path, recovered)


def test_an_operation_that_only_goes_forward_is_tried_again_once(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        finish = Undone(failures=1)
        journal.register("remove", finish)
        await journal.forward("remove", "x")
        assert finish.calls == [("x", {})]

    run(tmp_path, body)


def test_the_undo_of_a_late_call_waits_until_the_call_has_ended(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        order: list[str] = []

        async def undo(_object: str, _data: Mapping[str, Any]) -> Sequence[Change]:
            order.append("undo")
            return ()

        def slow() -> None:
            time.sleep(0.3)
            order.append("side effect")

        journal.register("make", undo)
        pool = Pool("slow")
        with pytest.raises(Late):
            async with journal.operation("make", "x"):
                await pool.run("test.slow", slow, 0.05)
        assert order == []
        await asyncio.sleep(0.6)
        assert order == ["side effect", "undo"]
        pool.close()

    run(tmp_path, body)
