"""A container's streams: attach, logs, terminal size."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import attrs

from wherry.errors import Conflict, Invalid, NotFound
from wherry.model.containers import Container
from wherry.model.logs import LogQuery, Record
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_files import Folders
from wherry_engine.engine.log_files import FORMS
from wherry_engine.engine.logs import read_logs
from wherry_engine.engine.processes import Processes


@attrs.define
class _Waiting:
    """An attach to a container that has not been started."""

    end: socket.socket
    stdin: bool
    stdout: bool
    stderr: bool
    stdin_closed: bool = False


@attrs.frozen
class Attached:
    """One attach. `sock` carries output (framed unless the container has a terminal) and takes input."""

    sock: socket.socket
    close_stdin: Callable[[], Awaitable[None]]


class Streams:
    """Attaches to containers and reads their logs."""

    def __init__(self, book: Book, processes: Processes, folders: Folders) -> None:
        self._book, self._processes, self._folders = book, processes, folders
        self._waiting: dict[str, list[_Waiting]] = {}

    async def attach(self, ref: str, *, stdin: bool, stdout: bool, stderr: bool) -> Attached:
        """Connect to the streams; an attach to a container that has not been started is connected at its start."""
        container = self._book.get(ref)
        if container.state.status == "paused":
            raise Conflict(f"container {ref} is paused, unpause the container before attach")
        if container.state.status == "restarting":
            raise Conflict(f"container {ref} is restarting, wait until the container is running")
        ours, theirs = socket.socketpair()
        waiting = _Waiting(theirs, stdin and container.config.open_stdin, stdout, stderr)
        if not (container.state.alive and await self._connected(container.id, waiting)):
            self._waiting.setdefault(container.id, []).append(waiting)
        self._book.emit("attach", container)

        async def close_stdin() -> None:
            if waiting in self._waiting.get(container.id, ()):
                waiting.stdin_closed = True
            elif stdin and container.config.open_stdin:
                await self._processes.close_stdin(container.id)

        return Attached(ours, close_stdin)

    async def _connected(self, id: str, waiting: _Waiting) -> bool:
        """Connect to a process that runs. False if it has just ended, and the record is about to say so."""
        if self._processes.has_ended(id):
            return False
        end = waiting.end.dup()
        try:
            await self._connect(id, waiting)
        except NotFound:
            waiting.end = end
            return False
        except BaseException:
            end.close()
            raise
        end.close()
        return True

    async def _connect(self, id: str, waiting: _Waiting) -> None:
        with waiting.end:
            await self._processes.attach(
                id, waiting.end, stdin=waiting.stdin, stdout=waiting.stdout, stderr=waiting.stderr
            )

    async def hand_over(self, id: str) -> None:
        """The container's process exists: connect those who wait, before it begins."""
        for waiting in self._waiting.pop(id, ()):
            await self._connect(id, waiting)
            if waiting.stdin_closed and waiting.stdin:
                await self._processes.close_stdin(id)

    def drop(self, id: str) -> None:
        """The start that they wait for will not come: end the streams of those who wait."""
        for waiting in self._waiting.pop(id, ()):
            waiting.end.close()

    def logs(self, ref: str, query: LogQuery) -> AsyncIterator[Record]:
        """Records of the container's output. Raises `Invalid` if its log driver keeps none."""
        container = self._book.get(ref)
        form = FORMS.get(container.log_driver)
        if form is None:
            raise Invalid("configured logging driver does not support reading")
        path = self._folders.log(container.id, container.log_driver)
        return read_logs(path, form, query, lambda: self._ended(container))

    def _ended(self, container: Container) -> bool:
        now = self._book.table.get(container.id)
        return now is None or not now.running

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Tell the container's terminal its size. Raises `Conflict` if it does not run."""
        container = self._book.get(ref)
        if not container.state.alive:
            raise Conflict(f"container {container.id} is not running")
        await self._processes.resize(container.id, height, width)
