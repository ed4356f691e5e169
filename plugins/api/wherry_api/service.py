"""The API as a service of the engine's process: begins to listen, and ends in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from wherry_api.app import Api
from wherry_api.connection import ApiConnection
from wherry_api.facade import Engine
from wherry_api.listeners import Listener, listen

FINISH = 10.0  # seconds that work which must be finished has, after the last client was let go
# aiohttp's own access log is off: it costs as much as the answer. Bodies are taken as they come, as Docker takes them.
_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "max_line_size": 64 << 10,
    "max_field_size": 64 << 10,
}


class ApiService:
    """Serves the API of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._api: Api | None = None
        self._server: web.Server | None = None
        self._listening: list[tuple[Listener, asyncio.Server]] = []

    async def start(self, urls: Sequence[str], *, allow_insecure: bool = False) -> None:
        """Listen on all of these, or on none: unix:///PATH, and tcp://127.0.0.1:PORT if that is allowed."""
        self._api = Api(self._engine)
        server = self._server = web.Server(self._api.handle, handler_cancellation=True)
        loop = asyncio.get_running_loop()

        def connection() -> ApiConnection:
            return ApiConnection(server, **_OPTIONS)

        try:
            for url in urls:
                listener = listen(url, allow_insecure=allow_insecure)
                self._listening.append((listener, await loop.create_server(connection, sock=listener.socket)))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Listen no more, end all streams, and let what clients have begun be finished."""
        listening, self._listening = self._listening, []
        for listener, server in listening:
            listener.remove()
            server.close()
        if self._api is not None:
            await self._api.close(FINISH)
        if self._server is not None:
            await self._server.shutdown(1.0)
        self._api = self._server = None
