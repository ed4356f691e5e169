"""The API as a service of the engine's process: begins to listen, and ends in order."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any

from wherry_api.aiohttp_import import web
from wherry_api.app import Api
from wherry_api.connection import ApiConnection
from wherry_api.facade import Engine
from wherry_api.listeners import BACKLOG, Listener, listen
from wherry_api.tls import HalfClosing, server_context
from wherry_engine.daemon.config import Listening

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

    async def start(self, listening: Listening) -> None:
        """Listen on all addresses, or on none."""
        self._api = Api(self._engine)
        server = self._server = web.Server(self._api.handle, handler_cancellation=True)
        loop = asyncio.get_running_loop()

        def connection() -> ApiConnection:
            return ApiConnection(server, **_OPTIONS)

        def secured(context: ssl.SSLContext) -> HalfClosing:
            return HalfClosing(loop, connection(), context, None, server_side=True)

        try:
            tls = server_context(listening.tls) if listening.tls else None
            for listener in listen(listening):
                factory = partial(secured, tls) if tls and listener.tcp else connection
                self._listening.append(
                    (listener, await loop.create_server(factory, sock=listener.socket, backlog=BACKLOG))
                )
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
