"""Events: emitted once each, in order, to everybody who listens; the last ones are kept for late comers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping

from wherry.model.events import Event, EventType

KEPT = 256  # as Docker keeps
BACKLOG = 4096  # a listener that is further behind loses the oldest; it is told by the gap in time


class Events:
    """The engine's events."""

    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._last = 0

    def emit(self, type: EventType, action: str, id: str, attributes: Mapping[str, str]) -> None:
        """Something happened, now. Times rise strictly, so that they order events."""
        self._last = max(time.time_ns(), self._last + 1)
        event = Event(type, action, id, dict(attributes), self._last)
        self._past.append(event)
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(event)

    async def subscribe(self, since_ns: int | None = None, until_ns: int | None = None) -> AsyncIterator[Event]:
        """Past events from `since_ns` on (None: none), then what happens until `until_ns` (None: for ever)."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(BACKLOG)
        past = [] if since_ns is None else [e for e in self._past if e.time_ns >= since_ns]
        self._listeners.add(queue)
        try:
            for event in past:
                if until_ns is None or event.time_ns <= until_ns:
                    yield event
            while until_ns is None or time.time_ns() < until_ns:
                timeout = None if until_ns is None else (until_ns - time.time_ns()) / 1e9
                try:
                    found = await asyncio.wait_for(queue.get(), timeout)
                except TimeoutError:
                    return
                if found is None:
                    return
                yield found
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """End every subscription."""
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(None)
