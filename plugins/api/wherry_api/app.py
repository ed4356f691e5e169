"""From a request to its answer: version, route, handler, and the one place where errors become answers."""

from __future__ import annotations

import asyncio
import logging

import orjson
from aiohttp import web

from wherry.errors import NotModified, WherryError
from wherry_api.call import Background, Call
from wherry_api.connection import ApiConnection
from wherry_api.facade import Engine
from wherry_api.router import Router
from wherry_api.routes import absent, swarm
from wherry_api.routes.table import ROUTES
from wherry_api.statuses import status_of
from wherry_api.versions import NEWEST, split_version, version_text

log = logging.getLogger("wherry.api")


class Api:
    """The whole API of one engine: what the HTTP server calls for each request."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._router = Router(ROUTES)
        self._requests: set[asyncio.Task[object]] = set()
        self.background = Background()
        about = engine.version()
        self._headers = {
            "Api-Version": version_text(NEWEST),
            "Docker-Experimental": str(about.experimental).lower(),
            "Ostype": about.os,
            "Server": f"Wherry/{about.version} ({about.os})",
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Whatever goes wrong before an answer has begun becomes an error in JSON."""
        task = asyncio.current_task()
        assert task is not None
        self._requests.add(task)
        try:
            response = await self._answer(request)
        except NotModified:
            response = web.Response(status=304, headers=self._headers)
        except WherryError as error:
            response = self._error(status_of(error), error.text)
        except ConnectionError:
            raise
        except OSError as error:
            log.exception("%s %s failed", request.method, request.path)
            response = self._error(500, str(error))
        except Exception as error:
            log.exception("%s %s met a bug", request.method, request.path)
            response = self._error(500, f"internal error: {type(error).__name__}: {error}")
        finally:
            self._requests.discard(task)
        connection = request.protocol
        if isinstance(connection, ApiConnection) and connection.holds_back:
            response.force_close()  # what the client sent for its stream must not be read as a request
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if "\0" in path or "%00" in request.rel_url.raw_query_string:
            return self._error(400, "the path and the query must not contain NUL characters")
        version, path = split_version(path)
        if request.method == "OPTIONS":
            return web.Response(headers=self._headers)
        found = self._router.find(request.method, path)
        if found is None:
            swarm.refuse(path)
            absent.refuse(request.method, path)
            return self._error(404, "page not found")
        handler, parameters = found
        return await handler(Call(request, self._engine, version, parameters, self._headers, self.background))

    def _error(self, status: int, text: str) -> web.Response:
        body = orjson.dumps({"message": text.encode(errors="replace").decode()}, option=orjson.OPT_APPEND_NEWLINE)
        return web.Response(body=body, status=status, headers={**self._headers, "Content-Type": "application/json"})

    async def close(self, timeout: float) -> None:
        """End all streams; let what must be finished finish, for `timeout` seconds at most."""
        for task in list(self._requests):
            task.cancel()
        await self.background.end(timeout)
