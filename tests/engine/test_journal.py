"""The journal: undo on failure, finish at the next start, late calls waited for."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from wherry.errors import Failed, Unavailable
from wherry_engine.engine.together import together
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


async def at_rest(journal: Journal) -> None:
    """Return when nothing is under way."""
    while journal.busy:
        await asyncio.sleep(0.01)


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


async def cancelled_after(steps: int, work: Coroutine[Any, Any, None], times: int = 1) -> None:
    """Run it, and cancel it after so many turns of the event loop, as often as is said."""
    task = asyncio.create_task(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_an_operation_that_is_cancelled_while_its_intent_is_recorded_leaves_none(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        undone = Undone()
        journal.register("make", undone)

        async def operate() -> None:
            async with journal.operation("make", "x"):
                raise AssertionError("it was cancelled before")

        await cancelled_after(1, operate(), times=3)
        assert not journal.pending()
        assert len(undone.calls) == 1

    run(tmp_path, body)


def test_an_operation_that_is_cancelled_while_it_is_committed_has_happened(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        undone, committing = Undone(), asyncio.Event()
        journal.register("make", undone)

        async def operate() -> None:
            async with journal.operation("make", "x") as operation:
                committing.set()
                await operation.commit(Change("thing", "x", b"1"))

        task = asyncio.create_task(operate())
        await committing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(journal._database.load("thing")) == [("x", b"1")]
        assert not journal.pending()
        assert not undone.calls

    run(tmp_path, body)


def test_an_operation_whose_new_name_cannot_be_recorded_is_undone_under_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(journal: Journal) -> None:
        undone, finished = Undone(), Undone()
        journal.register("make", undone)
        journal.register("launch", finished)

        def broken(_self: Database, _change: Change) -> None:
            monkeypatch.undo()
            raise sqlite3.OperationalError("disk I/O error")

        async def operate() -> None:
            async with journal.operation("make", "x") as operation:
                monkeypatch.setattr(Database, "_apply", broken)
                await operation.continue_as("launch")

        with pytest.raises(Failed, match="disk I/O error"):
            await operate()
        assert (len(undone.calls), finished.calls) == (1, [])
        assert not journal.pending()

    run(tmp_path, body)


def test_a_cancelled_removal_is_awaited_to_its_end(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        removed = []

        async def remove(object: str, _data: Mapping[str, Any]) -> Sequence[Change]:
            await asyncio.sleep(0.1)
            removed.append(object)
            return ()

        journal.register("remove", remove)
        await cancelled_after(20, journal.forward("remove", "x"), times=2)
        assert removed == ["x"]
        assert not journal.pending()
        assert not journal.busy

    run(tmp_path, body)


def test_what_an_operation_left_is_undone_before_the_next_one_on_the_same_object(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        undone = Undone(failures=3)
        journal.register("make", undone)
        with pytest.raises(ValueError, match="boom"):
            async with journal.operation("make", "x", key="first"):
                raise ValueError("boom")
        await journal.settle("x")
        with pytest.raises(Unavailable, match=r"when its make has been finished: not yet"):
            await journal.forward("make", "x")
        async with journal.operation("make", "other") as operation:
            await operation.commit()
        assert len(journal.pending()) == 1
        await journal.settle("x")
        async with journal.operation("make", "x", key="second") as operation:
            assert undone.calls == [("x", {"key": "first"})]
            await operation.commit()
        assert await journal.recover() == 0
        assert len(undone.calls) == 1

    run(tmp_path, body)


def test_an_object_on_which_a_call_hangs_is_refused_until_that_is_undone(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        released, undone = threading.Event(), Undone()
        journal.register("make", undone)
        pool = Pool("hung")
        with pytest.raises(Late):
            async with journal.operation("make", "x"):
                await pool.run("test.hang", lambda: released.wait(10), 0.05)
        with pytest.raises(Unavailable, match=r"did not finish test\.hang"):
            await journal.forward("make", "x")
        assert journal.busy
        async with journal.operation("make", "other") as operation:
            await operation.commit()
        released.set()
        await at_rest(journal)
        assert undone.calls == [("x", {})]
        await journal.forward("make", "x")
        pool.close()

    run(tmp_path, body)


def test_a_removal_whose_call_hangs_is_not_tried_again_beside_it(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        released, calls = threading.Event(), list[str]()
        pool = Pool("hung")

        def remove() -> None:
            calls.append("begun")
            released.wait(10)
            calls.append("ended")

        async def finish(_object: str, _data: Mapping[str, Any]) -> Sequence[Change]:
            await pool.run("test.hang", remove, 0.05)
            return ()

        journal.register("remove", finish)
        with pytest.raises(Late):
            await journal.forward("remove", "x")
        assert calls == ["begun"]
        released.set()
        await at_rest(journal)
        assert calls == ["begun", "ended", "begun", "ended"]
        assert not journal.pending()
        pool.close()

    run(tmp_path, body)


def test_a_cancelled_call_that_hangs_is_late_so_that_no_undo_meets_it(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        released, undone = threading.Event(), Undone()
        journal.register("make", undone)
        pool = Pool("hung")

        async def operate() -> None:
            async with journal.operation("make", "x"):
                await pool.run("test.hang", lambda: released.wait(10), 0.2)

        task = asyncio.create_task(operate())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(Late):
            await task
        assert not undone.calls
        released.set()
        await at_rest(journal)
        assert undone.calls == [("x", {})]
        pool.close()

    run(tmp_path, body)


def test_of_steps_that_fail_together_the_one_that_hangs_is_told(tmp_path: Path) -> None:
    async def body(_journal: Journal) -> None:
        released = threading.Event()
        pool = Pool("hung")

        async def fails() -> None:
            await asyncio.sleep(0.05)
            raise Failed("at once")

        hangs = pool.run("test.hang", lambda: released.wait(10), 0.2)
        with pytest.raises(Late):
            await together(fails(), hangs, asyncio.sleep(0))
        released.set()
        pool.close()

    run(tmp_path, body)
