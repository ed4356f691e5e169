"""The files of containers: copied out and in, exported, and compared with their image's."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from wherry.errors import NotFound, Unsupported
from wherry.model.containers import Container
from wherry.model.files import PathStat
from wherry.model.mounts import Change
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_launch import Parts
from wherry_engine.engine.container_view import Views
from wherry_engine.engine.job_stream import job_fed, job_stream

CHANGES_DEADLINE = 600.0
# Made for every container, by the engine or the runtime: no change of anybody's.
_GIVEN = {
    f"/{name}"
    for name in (
        "dev/console", "dev/core", "dev/fd", "dev/full", "dev/mqueue", "dev/null", "dev/ptmx", "dev/pts", "dev/random",
        "dev/shm", "dev/stderr", "dev/stdin", "dev/stdout", "dev/tty", "dev/urandom", "dev/zero", "etc/hostname",
        "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "sys", ".dockerenv",
    )
}  # fmt: skip
_AROUND = {"/dev", "/etc"}  # made for the above, if missing


class Archives:
    """Reads and writes the files of containers, in helpers that can be killed."""

    def __init__(self, *, book: Book, parts: Parts, views: Views) -> None:
        self._book, self._parts, self._views = book, parts, views

    async def stat(self, ref: str, path: str) -> PathStat:
        """What is at a path. Raises `NotFound`."""
        stream = self._get(self._book.get(ref).id, path, content=False)
        async with aclosing(stream):
            return await self._stat(stream, ref, path)

    async def get(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """What is at a path, and its archive. Raises `NotFound`. Whoever ends the iterator early ends the helper."""
        stream = self._get(self._book.get(ref).id, path, content=True)
        try:
            found = await self._stat(stream, ref, path)
        except BaseException:
            await stream.aclose()
            raise
        self._book.emit("archive-path", self._book.get(ref))
        return found, stream

    async def _stat(self, stream: AsyncGenerator[bytes, None], ref: str, path: str) -> PathStat:
        try:
            return PathStat(**json.loads(await anext(stream)))
        except NotFound as error:
            raise NotFound(f"Could not find the file {path} in container {ref}") from error

    async def _get(self, id: str, path: str, *, content: bool) -> AsyncGenerator[bytes, None]:
        """First one line, then the archive in pieces."""
        head = b""
        async with self._views.view(id) as arguments:
            given = {**arguments, "path": path, "content": content}
            async with aclosing(job_stream(self._parts.processes, "archive_get", given)) as pieces:
                while b"\n" not in head:
                    head += await anext(pieces)
                line, _, rest = head.partition(b"\n")
                yield line
                yield rest
                async for data in pieces:
                    yield data

    async def put(
        self, ref: str, path: str, stream: AsyncIterator[bytes], *, keep_kinds: bool, copy_owner: bool
    ) -> None:
        """Extract an archive into a folder. `copy_owner` gives all of it to the container's user."""
        container = self._book.get(ref)
        async with self._views.view(container.id) as arguments:
            given = {
                **arguments,
                "path": path,
                "keep_kinds": keep_kinds,
                "owner": container.config.user if copy_owner else "",
                "readonly_rootfs": container.host.readonly_rootfs,
            }
            try:
                await job_fed(self._parts.processes, "archive_put", given, stream)
            except NotFound as error:
                raise NotFound(f"Could not find the file {path} in container {ref}") from error
        self._book.emit("extract-to-dir", container)

    async def export(self, ref: str) -> AsyncGenerator[bytes, None]:
        """The archive of the root file system."""
        container = self._book.get(ref)
        async with self._views.view(container.id) as arguments:
            async with aclosing(job_stream(self._parts.processes, "archive_export", arguments)) as pieces:
                async for data in pieces:
                    yield data
        self._book.emit("export", container)

    async def changes(self, ref: str) -> Sequence[Change]:
        """What the container changed of its image, by path."""
        container = self._book.get(ref)
        parts = self._parts
        if not parts.storage.has("changes"):
            raise Unsupported(f"the storage driver {parts.storage.name} does not tell what changed")
        found = await parts.drivers.call(
            "container.changes", parts.storage, lambda hook: hook.changes(key=container.id), CHANGES_DEADLINE
        )
        return _visible(found)

    async def layer(self, container: Container, changes: int) -> AsyncGenerator[bytes, None]:
        """The archive of the layer that these changes (a descriptor of lines of JSON [path, kind]) make."""
        async with self._views.view(container.id) as arguments:
            async with aclosing(job_stream(self._parts.processes, "archive_layer", arguments, (changes,))) as pieces:
                async for data in pieces:
                    yield data


def _visible(changes: Sequence[Change]) -> Sequence[Change]:
    """Without what the engine and the runtime made, and folders that changed by that alone."""
    kept = [each for each in changes if each.path not in _GIVEN]
    if len(kept) == len(changes):
        return kept
    around = {each.path.rpartition("/")[0] for each in kept}
    return [each for each in kept if each.path not in _AROUND or each.path in around]
