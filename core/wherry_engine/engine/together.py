"""Several steps of one operation at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from wherry_engine.work import Late

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


async def together(
    first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B], third: Coroutine[Any, Any, C]
) -> tuple[A, B, C]:
    """The results of all three. If one fails, the others are cancelled and waited for, and its error is raised; that of a
    call which has not returned comes first, since nothing may be undone before it has.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = (group.create_task(first), group.create_task(second), group.create_task(third))
    except BaseExceptionGroup as errors:
        first_told = next((each for each in errors.exceptions if isinstance(each, Late)), errors.exceptions[0])
        raise first_told from first_told.__cause__
    return tasks[0].result(), tasks[1].result(), tasks[2].result()
