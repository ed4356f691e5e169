"""aiohttp's connection, made fit for streams that take it over (attach, exec): see `hijack`.

The HTTP parser must not see what follows such a request: clients send stdin at once, without awaiting an answer. So a
connection that is between two requests collects the next request's head, and if that is one whose client speaks another
protocol afterwards, gives the parser this request and keeps back every byte after it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

# By its Upgrade header, or by its path: old clients send none.
_TAKES_OVER = re.compile(
    rb"\A(?:GET|POST) (?:[^ ?]*/(?:containers/[^/ ?]+/attach|exec/[^/ ?]+/start)[ ?]|[^\r\n]*\r\n(?s:.*\r\n)?(?i:upgrade):[ \t]*(?i:tcp|h2c)[ \t]*\r\n)"
)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_END = b"\r\n\r\n"
_HEAD_LIMIT = 64 << 10  # the parser refuses far smaller ones
_KEPT_LIMIT = 1 << 20  # of bytes kept back before the handler takes them; then the client has to wait


class ApiConnection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_head", "_left", "kept", "kept_eof")

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **options)
        self._head = b""
        self._left: int | None = None  # bytes of the request that takes over which are still to come
        self.kept = b""
        self.kept_eof = False

    @property
    def holds_back(self) -> bool:
        """Whether the current request may take the connection over."""
        return self._left is not None

    @property
    def _between_requests(self) -> bool:
        return self._request_count == 0 or (self._waiter is not None and not self._waiter.done())

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._left is None:
            if not self._between_requests:
                super().data_received(data)
                return
            data, self._head = self._head + data, b""
            end = data.find(_END)
            if end < 0 and len(data) < _HEAD_LIMIT:
                self._head = data
                return
            head = data[: end + 4]
            if end < 0 or not _TAKES_OVER.match(head) or _CHUNKED.search(head):
                super().data_received(data)
                return
            length = _LENGTH.search(head)
            self._left = len(head) + (int(length[1]) if length else 0)
        if self._left:
            request, data = data[: self._left], data[self._left :]
            self._left -= len(request)
            super().data_received(request)
        self.kept += data
        if len(self.kept) > _KEPT_LIMIT and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more. Stay open for one that takes over: it may only have closed stdin."""
        if self._left is None:
            return None
        self.kept_eof = True
        return True

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what is no HTTP."""
        body = orjson.dumps({"message": f"malformed request: {message or exc or 'unknown'}"})
        response = web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
        response.force_close()
        return response
