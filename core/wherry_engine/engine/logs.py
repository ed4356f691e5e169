"""Reading a container's log, of either form: all of it, its tail, a span of time, and what is still being written."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from wherry.linux import inotify
from wherry.model.logs import LogQuery, Record
from wherry_engine.engine.log_files import (
    Form,
    LogFile,
    close_all,
    number_of,
    open_all,
    open_newest,
    open_present,
    tail,
)

IDLE = 0.5  # s between looks at a log about which nothing is heard
AT_END = 0.01  # s between looks after the writer has closed the log: its container's end is known soon after
CLOSED_FOR = 1.0
ATTEMPTS, PAUSE = 100, 0.001  # s; a rotation takes less
UNWATCHED = 0.1  # s between looks where there are no more inotify instances


async def read_logs(path: Path, form: Form, query: LogQuery, ended: Callable[[], bool]) -> AsyncIterator[Record]:
    """The records that the query asks for, oldest first; with `follow` until `ended()` and all is read.

    Nothing is left out or given twice over rotations; what a slow reader has not read yet stays open. As in Docker,
    `tail` counts lines of both streams, before times and streams are looked at.
    """
    log = _Log(str(path), form, follow=query.follow)
    try:
        await log.open(query.tail)
        while (lines := await log.next(query, ended)) is not None:
            for text in lines:
                record = form.record(text)
                if record is None:
                    continue
                if query.until_ns and record.time_ns > query.until_ns:
                    return
                if record.time_ns >= query.since_ns and (query.stdout if record.stream == "stdout" else query.stderr):
                    yield record
    finally:
        log.close()


class _Log:
    """The open files of one reading, the one being read first. All but `LogFile.read` runs in the event loop."""

    def __init__(self, path: str, form: Form, *, follow: bool) -> None:
        self._path, self._form, self._follow = path, form, follow
        self._files: deque[LogFile] = deque()
        self._watch: inotify.Inotify | None = None
        self._heard = asyncio.Event()
        self._missed = 0  # files begun since the newest of ours, that could not be opened yet
        self._last: tuple[int, int] | None = None  # the newest file that was opened
        self._closed_at = float("-inf")

    async def open(self, last: int | None) -> None:
        """Open what there is. It is watched before that, so that nothing is missed."""
        if self._follow:
            self._start_watch()
        for _ in range(ATTEMPTS):
            self._begun()
            files = open_all(self._path, self._form)
            if files is not None and not self._begun():
                break
            close_all(files or ())
            await asyncio.sleep(PAUSE)
        else:
            files = open_present(self._path, self._form)
        self._adopt(files)
        if self._watch is not None:
            asyncio.get_running_loop().add_reader(self._watch.fd, self._on_event)
        if last is not None:
            await asyncio.to_thread(tail, list(self._files), last)

    async def next(self, query: LogQuery, ended: Callable[[], bool]) -> list[bytes] | None:
        """The next whole lines, some at a time; None at the end."""
        while True:
            # All are asked before reading: what is written later is not the last of this file or log.
            over = not self._follow or ended() or bool(query.until_ns and time.time_ns() > query.until_ns)
            complete = len(self._files) > 1
            self._heard.clear()
            lines = await asyncio.to_thread(self._files[0].read) if self._files else []
            if lines:
                return lines
            if complete:
                self._files.popleft().close()
            elif self._follow and self._find_new():
                continue
            elif over:
                return None
            else:
                await self._wait()

    def close(self) -> None:
        """Close everything."""
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fd)
            self._watch.close()
        close_all(self._files)

    def _start_watch(self) -> None:
        watch = None
        try:
            watch = inotify.Inotify()
            watch.watch(self._path.rpartition("/")[0], inotify.MODIFY | inotify.CLOSE_WRITE | inotify.CREATE)
        except OSError:  # no more instances for this user, or no folder (yet): look from time to time
            if watch is not None:
                watch.close()
            return
        self._watch = watch

    def _on_event(self) -> None:
        # At once, however slow the one who reads is: the file's name is known now.
        self._find_new()

    async def _wait(self) -> None:
        if self._watch is None:
            await asyncio.sleep(UNWATCHED)
            return
        pause = AT_END if time.monotonic() - self._closed_at < CLOSED_FOR else IDLE
        with suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), pause)

    def _begun(self) -> int | None:
        """How many files were begun since the last call; None if nobody knows."""
        if self._watch is None:
            return None
        base, count = self._path.rpartition("/")[2], 0
        for event in self._watch.read():
            if event.mask & inotify.OVERFLOW:
                return None
            if event.name == base:
                self._heard.set()
                count += bool(event.mask & inotify.CREATE)
                if event.mask & inotify.CLOSE_WRITE:
                    self._closed_at = time.monotonic()
        return count

    def _find_new(self) -> bool:
        """Open the files that were begun after the newest of ours; whether there were any."""
        while True:
            begun = self._begun()
            self._missed = self._count_from_last() if begun is None else self._missed + begun
            if not self._missed:
                return False
            files = open_newest(self._path, self._form, self._missed)
            if not files:
                return False  # in the middle of a rotation: there will be an event
            begun = self._begun()
            if begun == 0 or (begun is None and number_of(self._path, files[-1].identity) == 0):
                self._missed = 0
                self._adopt(files)
                return True
            close_all(files)
            self._missed += begun or 0

    def _count_from_last(self) -> int:
        if self._last is None:
            return 1
        number = number_of(self._path, self._last)
        return 1 if number is None else number

    def _adopt(self, files: Iterable[LogFile]) -> None:
        for file in files:
            if file.identity != self._last:
                self._files.append(file)
                self._last = file.identity
            else:
                file.close()
