"""A connection to the supervisor or the monitor: requests are repeated to a successor when the process is replaced."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from wherry.errors import KINDS, Failed, Unavailable
from wherry.linux import sockets

_ATTEMPTS = 3  # of one request: one that kills every monitor that serves it must end
_PAUSE = 0.002
_PATIENCE = 10.0


class _Request:
    """What has been asked and not been answered. Its descriptors are copies, kept to be sent again."""

    def __init__(self, message: dict[str, Any], fds: Sequence[int], future: asyncio.Future[Any], *, once: bool) -> None:
        self.message, self.future, self.once = message, future, once
        self.number: int = message["number"]
        self.fds = [os.dup(fd) for fd in fds]
        self.attempts = 0

    def end(self) -> None:
        """Give up the copies."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Connection:
    """One connection, made anew whenever it breaks. Used by one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        event: Callable[[dict[str, Any]], None],
        greeted: Callable[[dict[str, Any]], None],
        revive: Callable[[], Awaitable[None]],
        patience: float | None = None,
    ) -> None:
        """`greeted` gets each hello's answer; `revive` is awaited when nobody listens at the path any more. `patience` (10 s)
        is for that, and for the answer.
        """
        self._patience = _PATIENCE if patience is None else patience
        self._path = path
        self._event, self._greeted, self._revive = event, greeted, revive
        self._sock: socket.socket | None = None
        self._requests: dict[int, _Request] = {}
        self._outbox: deque[_Request] = deque()
        self._number = self._hello = 0
        self._closed = False
        self._reconnecting: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect and exchange hellos, reviving the other side if it is dead. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        late = loop.time() + self._patience
        while True:
            try:
                self._sock = sockets.connect(str(self._path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                await self._revive()
            except BlockingIOError:  # a full backlog: the process is busy
                pass
            if loop.time() > late:
                raise Unavailable(f"nobody answers at {self._path}")
            await asyncio.sleep(_PAUSE)
        self._sock.setblocking(False)
        loop.add_reader(self._sock.fileno(), self._readable)
        waiting = [request for request in self._requests.values() if not (request.once and request.attempts)]
        hello = self._ask("hello", (), once=True)
        self._hello = hello.number
        for request in waiting:
            self._put(request)
        async with asyncio.timeout(self._patience):
            await self._answer(hello)

    async def call(self, op: str, *, fds: Sequence[int] = (), once: bool = False, **arguments: Any) -> Any:
        """Ask, and return the answer. With `once` it fails (Unavailable) where it would be repeated to a successor."""
        if self._closed:
            raise Unavailable(f"{op}: the connection to {self._path.name} is closed")
        return await self._answer(self._ask(op, fds, once=once, **arguments))

    def _ask(self, op: str, fds: Sequence[int], *, once: bool, **arguments: Any) -> _Request:
        self._number += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request = _Request({"op": op, "number": self._number, **arguments}, fds, future, once=once)
        self._requests[request.number] = request
        if self._sock is not None:
            self._put(request)
        elif self._reconnecting is not None and self._reconnecting.done():  # it had been given up
            self._reconnecting = asyncio.ensure_future(self._reconnect())
        return request

    async def _answer(self, request: _Request) -> Any:
        try:
            return await request.future
        finally:
            self._requests.pop(request.number, None)
            request.end()

    def _put(self, request: _Request) -> None:
        request.attempts += 1
        if request.attempts > _ATTEMPTS:
            text = f"{request.message['op']}: the process at {self._path.name} died {_ATTEMPTS} times over it"
            _resolve(request.future, error=Unavailable(text))
            return
        if request.attempts > 1:
            request.message["again"] = True  # what was done for a process that is dead now is done
        self._outbox.append(request)
        self._flush()

    def _flush(self) -> None:
        if self._sock is None:
            return
        loop = asyncio.get_running_loop()
        try:
            while self._outbox:
                request = self._outbox[0]
                if not request.future.done():
                    sockets.send(self._sock, request.message, request.fds)
                self._outbox.popleft()
        except BlockingIOError:
            loop.add_writer(self._sock.fileno(), self._flush)
            return
        except OSError:  # its end is read next, and the request repeated
            self._outbox.clear()
        loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        while self._sock is not None:
            try:
                message, _ = sockets.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                message = None
            if message is None:
                self._broken()
            elif "event" in message:
                self._event(message)
            else:
                self._answered(message)

    def _answered(self, message: dict[str, Any]) -> None:
        request = self._requests.get(message["number"])
        if request is None:
            return
        error = message.get("error")
        if error is not None:
            _resolve(request.future, error=error_of(error))
            return
        if message["number"] == self._hello:  # now: what has been answered after it is not in it
            try:
                self._greeted(message["value"])
            except Unavailable as refusal:
                _resolve(request.future, error=refusal)
        _resolve(request.future, message["value"])

    def _broken(self) -> None:
        self._disconnect()
        for request in self._requests.values():
            if request.once or self._closed:
                text = f"{request.message['op']}: the process at {self._path.name} has ended"
                _resolve(request.future, error=Unavailable(text))
        if not self._closed:
            self._reconnecting = asyncio.ensure_future(self._reconnect())

    async def _reconnect(self) -> None:
        try:
            await self.connect()
        except (Unavailable, TimeoutError) as error:
            if asyncio.current_task() is not self._reconnecting:  # it has died over its hello: a later one goes on
                return
            for request in self._requests.values():
                _resolve(request.future, error=Unavailable(str(error) or f"no answer from {self._path.name}"))

    def _disconnect(self) -> None:
        if self._sock is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._sock = None
        self._outbox.clear()

    async def call_last(self, op: str) -> None:
        """Ask for something that the other side answers by ending: Unavailable is then the good answer."""
        request = self._ask(op, (), once=True)
        self._closed = True
        await self._answer(request)

    async def close(self) -> None:
        """End the connection; what is unanswered fails."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        if self._sock is not None:
            self._broken()


def error_of(error: dict[str, Any]) -> Exception:
    """An error as messages carry it: by kind."""
    return KINDS.get(error["kind"], Failed)(error["text"])


def _resolve(future: asyncio.Future[Any], value: Any = None, error: Exception | None = None) -> None:
    if future.done():  # its caller has been cancelled
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
