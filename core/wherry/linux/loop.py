"""A small event loop over epoll: descriptors, timers, children and calls from another thread."""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable

IN, OUT, EDGE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET
HUNG_UP = select.EPOLLHUP | select.EPOLLERR


class Timer:
    """A call that is due at a time, unless cancelled before."""

    __slots__ = ("due", "function")

    def __init__(self, due: float, function: Callable[[], None]) -> None:
        self.due = due
        self.function: Callable[[], None] | None = function

    def cancel(self) -> None:
        """Forget the call."""
        self.function = None

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due


class Loop:
    """Calls what is watched for each event, in one thread. `post` alone may be called from others."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._posted: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._signals: tuple[int, int] | None = None
        self.running = False
        self.watch(self._wake, self._woken)

    def watch(self, fd: int, handler: Callable[[int], None], events: int = IN) -> None:
        """Call `handler(events)` whenever the descriptor has one of these events."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def rewatch(self, fd: int, events: int) -> None:
        """Ask for other events, or for the same once more if they are edge-triggered."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget the descriptor, which must still be open; succeeds if it is not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Whether the descriptor is being watched."""
        return fd in self._handlers

    def later(self, seconds: float, function: Callable[[], None]) -> Timer:
        """Call the function once, after so many seconds."""
        timer = Timer(time.monotonic() + seconds, function)
        heapq.heappush(self._timers, timer)
        return timer

    @property
    def posted(self) -> bool:
        """Whether calls have been posted that have not been made."""
        return bool(self._posted)

    def post(self, function: Callable[[], None]) -> None:
        """From any thread: call the function in the loop's thread."""
        self._posted.append(function)
        os.eventfd_write(self._wake, 1)

    def watch_children(self, reap: Callable[[], None]) -> None:
        """Call `reap` whenever a child of this process has changed. Main thread only."""
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._signals = (read, write)

        def changed(_: int) -> None:
            os.read(read, 4096)
            reap()

        self.watch(read, changed)

    def run(self) -> None:
        """Serve events until `stop`."""
        self.running = True
        while self.running:
            self.turn()

    def stop(self) -> None:
        """End `run` after the event in hand."""
        self.running = False

    def turn(self, timeout: float | None = None) -> None:
        """Wait for events, at most so many seconds, and serve them."""
        while self._timers and self._timers[0].function is None:
            heapq.heappop(self._timers)
        if self._timers:
            due = max(0.0, self._timers[0].due - time.monotonic())
            timeout = due if timeout is None else min(due, timeout)
        for fd, events in self._epoll.poll(timeout):
            handler = self._handlers.get(fd)
            if handler is not None:  # else an earlier handler of this turn has closed it
                handler(events)
        now = time.monotonic()
        while self._timers and self._timers[0].due <= now:
            function = heapq.heappop(self._timers).function
            if function is not None:
                function()

    def _woken(self, _: int) -> None:
        os.eventfd_read(self._wake)
        while self._posted:
            self._posted.popleft()()

    def close(self) -> None:
        """Give the loop's own descriptors back; those that it watched stay open. `unwatch` does nothing from now on."""
        self._handlers.clear()  # in a forked child the epoll is the parent's as well: nothing may be taken out of it
        self._epoll.close()
        os.close(self._wake)
        if self._signals is not None:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in self._signals:
                os.close(fd)


def _ignore(_number: int, _frame: object) -> None:
    """A handler that does nothing: the signal is wanted for its wake-up alone."""
