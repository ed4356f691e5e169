"""Images: listing, bringing in, naming, inspecting and removing."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from wherry.errors import Invalid, NotFound, Unsupported, WherryError
from wherry.model.images import ImageProgress, ImageRecord
from wherry.model.references import parse_reference
from wherry_api.call import Call
from wherry_api.router import Route
from wherry_api.shapes.images import history_json, image_json, inspect_image_json, progress_json, removal_json
from wherry_api.streams import closing, error_line, json_line
from wherry_engine.engine.filters import IMAGE_KEYS, IMAGE_PRUNE_KEYS, parse_filters, select_images


async def list_images(call: Call) -> web.StreamResponse:
    """All that have a name or are not part of another, newest first."""
    images = call.engine.images
    chosen = select_images(
        images.list(),
        parse_filters(call.text("filters"), IMAGE_KEYS),
        everything=call.flag("all"),
        now_ns=time.time_ns(),
        find=images.get,
    )
    return call.json([image_json(each, call.version) for each in chosen])


async def create(call: Call) -> web.StreamResponse:
    """Pull an image, or import the tar of a root file system."""
    if call.text("fromImage"):
        return await _pull(call)
    source = call.text("fromSrc")
    if source != "-":
        if not source:
            raise Invalid("say fromImage=NAME to pull, or fromSrc=- to import the body")
        raise Unsupported("importing from a URL is not supported: send the archive as the body, with fromSrc=-")
    repository, tag = _name(call.text("repo"), call.text("tag"))
    id = await call.engine.images.import_(
        call.stream(), repository=repository, tag=tag, changes=call.texts("changes"), message=call.text("message") or f"Imported from {source}",
        platform=call.text("platform"),
    )  # fmt: skip
    response = await call.begin("application/json")
    await response.write_eof(json_line({"status": id}))
    return response


def _name(repository: str, tag: str) -> tuple[str, str]:
    """The name for an import; a tag may stand in the repository's name too."""
    if not repository or tag:
        return repository, tag
    parsed = parse_reference(repository)
    if parsed.digest:
        raise Invalid("cannot import digest reference")
    return parsed.repository, parsed.tag


async def _pull(call: Call) -> web.StreamResponse:
    """An error, in the stream in which progress would come: there is no registry client."""
    name = call.text("fromImage")
    if tag := call.text("tag"):
        name += f"@{tag}" if ":" in tag else f":{tag}"
    reference = parse_reference(name)
    shown = str(reference) if reference.digest else reference.tagged
    response = await call.begin("application/json")
    text = f"cannot pull {shown}: this engine does not talk to image registries yet; load or import the image instead"
    await response.write_eof(error_line(text))
    return response


async def load(call: Call) -> web.StreamResponse:
    """Add the images of an archive. As Docker does, tell a failure in the stream, with status 200."""
    response = await call.begin("application/json")
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(line: bytes | None) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)  # the engine may report from its threads

    quiet, platform = call.flag("quiet"), call.text("platform")

    def progress(report: ImageProgress) -> None:
        if not quiet:
            put(json_line(progress_json(report)))

    async def work() -> None:
        try:
            for name in await call.engine.images.load(call.stream(), platform=platform, progress=progress):
                put(json_line({"stream": f"{name}\n"}))
        except WherryError as error:
            put(error_line(error.text))
        finally:
            put(None)

    loading = asyncio.create_task(work())
    try:
        while (line := await lines.get()) is not None:
            await response.write(line)
        await loading
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    await response.write_eof()
    return response


async def save(call: Call) -> web.StreamResponse:
    """The archive of one image."""
    return await _archive(call, [call.parameters["name"]])


async def save_several(call: Call) -> web.StreamResponse:
    """The archive of several images."""
    return await _archive(call, call.texts("names"))


async def _archive(call: Call, names: list[str]) -> web.StreamResponse:
    """What fails in the middle breaks the answer off, so that nobody takes a part for the whole."""
    pieces = await call.engine.images.save(names, platform=call.text("platform"))
    async with closing(pieces):
        response = await call.begin("application/x-tar")
        async for data in pieces:
            await response.write(data)
    await response.write_eof()
    return response


async def prune(call: Call) -> web.StreamResponse:
    """Remove those that no container uses."""
    filters = parse_filters(call.text("filters"), IMAGE_PRUNE_KEYS)
    pruned = await call.finish(call.engine.images.prune(filters))
    deleted = [item for removal in pruned.removals for item in removal_json(removal)]
    return call.json({"ImagesDeleted": deleted or None, "SpaceReclaimed": pruned.reclaimed})


async def inspect(call: Call) -> web.StreamResponse:
    """All about one."""
    record = call.engine.images.get(call.parameters["name"])
    info = await call.engine.info()
    return call.json(
        inspect_image_json(record, info.storage_driver, call.engine.images.graph(record.image), call.version)
    )


async def history(call: Call) -> web.StreamResponse:
    """The steps that made it."""
    record = call.engine.images.get(call.parameters["name"])
    return call.json(history_json(record, call.engine.images.layer_sizes(record.image), _parents(call, record)))


def _parents(call: Call, record: ImageRecord) -> list[ImageRecord]:
    """The images that it was made of, as far as they are here; the nearest first."""
    found: list[ImageRecord] = []
    while parent := (found[-1] if found else record).image.parent:
        try:
            found.append(call.engine.images.get(parent))
        except NotFound:
            break
    return found


async def tag(call: Call) -> web.StreamResponse:
    """Give it another name."""
    if not call.text("repo"):
        raise Invalid("repo, the new name, is required")
    work = call.engine.images.tag(call.parameters["name"], call.text("repo"), call.text("tag"))
    await call.finish(work)
    return call.empty(201)


async def remove(call: Call) -> web.StreamResponse:
    """Take a name from it, and remove it when it has no other."""
    work = call.engine.images.remove(call.parameters["name"], force=call.flag("force"), prune=not call.flag("noprune"))
    return call.json(removal_json(await call.finish(work)))


ROUTES = (
    Route("GET", "/images/json", list_images),
    Route("POST", "/images/create", create),
    Route("POST", "/images/load", load),
    Route("GET", "/images/get", save_several),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/{name}/get", save),
    Route("GET", "/images/{name}/json", inspect),
    Route("GET", "/images/{name}/history", history),
    Route("POST", "/images/{name}/tag", tag),
    Route("DELETE", "/images/{name}", remove),
)
