"""The files of containers: copied out and in, exported, compared with the image's, and made into an image."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import web

from wherry.errors import Invalid
from wherry.model.commits import CommitSpec
from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.files import changes_json, stat_header
from wherry_api.streams import closing

STAT = "X-Docker-Container-Path-Stat"


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise Invalid("bad parameter: path cannot be empty")
    return path


async def stat(call: Call) -> web.StreamResponse:
    """What is at a path, in a header."""
    found = await call.engine.archives.stat(call.parameters["id"], _path(call))
    return web.Response(headers={**call.headers, STAT: stat_header(found)})


async def get(call: Call) -> web.StreamResponse:
    """The archive of what is at a path."""
    found, pieces = await call.engine.archives.get(call.parameters["id"], _path(call))
    return await _send(call, pieces, {STAT: stat_header(found)})


async def _send(call: Call, pieces: AsyncIterator[bytes], headers: dict[str, str]) -> web.StreamResponse:
    """What fails in the middle breaks the answer off, so that nobody takes a part for the whole."""
    async with closing(pieces):
        response = web.StreamResponse(headers={**call.headers, **headers, "Content-Type": "application/x-tar"})
        await response.prepare(call.request)
        async for data in pieces:
            await response.write(data)
    await response.write_eof()
    return response


async def put(call: Call) -> web.StreamResponse:
    """Extract an archive into a folder."""
    await call.engine.archives.put(
        call.parameters["id"],
        _path(call),
        call.stream(),
        keep_kinds=call.flag("noOverwriteDirNonDir"),
        copy_owner=call.flag("copyUIDGID"),
    )
    return call.empty(200)


async def export(call: Call) -> web.StreamResponse:
    """The archive of the whole root file system."""
    container = call.engine.containers.get(call.parameters["id"])
    return await _send(call, call.engine.archives.export(container.id), {})


async def changes(call: Call) -> web.StreamResponse:
    """What differs from the image."""
    found = await call.engine.archives.changes(call.parameters["id"])
    return call.json(changes_json(found))


def _object(body: bytes) -> dict[str, Any]:
    try:
        config = orjson.loads(body) if body.strip() else None
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON: {error}") from error
    if not isinstance(config, dict | None):
        raise Invalid("the body must be a container's configuration, a JSON object")
    return config or {}


async def commit(call: Call) -> web.StreamResponse:
    """Make an image of it."""
    config = _object(await call.body())
    spec = CommitSpec(
        repository=call.text("repo"),
        tag=call.text("tag"),
        author=call.text("author"),
        comment=call.text("comment"),
        changes=[line for text in call.texts("changes") for line in text.splitlines()],
        pause=call.flag("pause") or not call.text("pause"),
        config=config,
    )
    container = call.text("container")
    if not container:
        raise Invalid("container, the one to make an image of, is required")
    return call.json({"Id": await call.finish(call.engine.commit(container, spec))}, 201)


ROUTES = (
    Route("HEAD", "/containers/{id}/archive", stat),
    Route("GET", "/containers/{id}/archive", get),
    Route("PUT", "/containers/{id}/archive", put),
    Route("GET", "/containers/{id}/export", export),
    Route("GET", "/containers/{id}/changes", changes),
    Route("POST", "/commit", commit),
)
