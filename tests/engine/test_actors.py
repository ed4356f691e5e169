"""Actors: turns in order, and interruption."""

import asyncio

import pytest

from wherry.errors import Conflict
from wherry_engine.engine.actors import Actors


def test_what_happens_to_one_object_happens_in_order() -> None:
    async def body() -> None:
        actors, order = Actors(), list[int]()

        async def do(number: int) -> None:
            async with actors.turn("x", "work"):
                order.append(number)
                await asyncio.sleep(0.001)
                order.append(number)

        await asyncio.gather(*(do(n) for n in range(5)))
        assert order == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]

    asyncio.run(body())


def test_objects_do_not_wait_for_each_other() -> None:
    async def body() -> None:
        actors = Actors()
        async with actors.turn("x", "work"):
            async with asyncio.timeout(1), actors.turn("y", "work"):
                pass

    asyncio.run(body())


def test_an_interrupted_turn_tells_by_what() -> None:
    async def body() -> None:
        actors = Actors()

        async def start() -> None:
            async with actors.turn("x", "start"):
                await asyncio.sleep(60)

        task = asyncio.create_task(start())
        await asyncio.sleep(0.01)
        assert actors.interrupt("x", "rm", doing="start")
        with pytest.raises(Conflict, match="start was interrupted by rm"):
            await task

    asyncio.run(body())


def test_only_the_named_activity_is_interrupted() -> None:
    async def body() -> None:
        actors = Actors()
        async with actors.turn("x", "remove"):
            assert not actors.interrupt("x", "stop", doing="start")
        assert not actors.interrupt("nothing", "stop", doing="start")

    asyncio.run(body())


def test_a_cancellation_from_outside_stays_one() -> None:
    async def body() -> None:
        actors = Actors()

        async def start() -> None:
            async with actors.turn("x", "start"):
                await asyncio.sleep(60)

        task = asyncio.create_task(start())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())
