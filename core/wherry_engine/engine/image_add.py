"""Bringing images in: from archives that `save` wrote, and from the tar of a root file system."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Invalid, NotFound
from wherry.linux.files import remove_file, write_all, write_file
from wherry.model.images import Image, ImageProgress
from wherry.model.names import new_id, short_id
from wherry.model.references import parse_reference
from wherry_engine.engine.changes import apply_changes
from wherry_engine.engine.image_archive_read import ArchivedImage, read_archive
from wherry_engine.engine.image_book import ImageBook, named
from wherry_engine.engine.image_config import imported_config, read_config
from wherry_engine.engine.image_platform import Platform
from wherry_engine.engine.layer_source import Source, is_compressed, unpack_file, whole_file
from wherry_engine.engine.layers import Layers
from wherry_engine.journal.journal import Journal, Operation
from wherry_engine.state.database import Change
from wherry_engine.work import Pool, to_the_end

READ_DEADLINE = 3600.0
Report = Callable[[ImageProgress], None]


@attrs.frozen
class _Wanted:
    """One image of an archive, read."""

    image: Image
    archived: ArchivedImage
    names: tuple[str, ...]


@attrs.frozen
class _New:
    """An image whose layers are here, with its config blob and the names it is to have."""

    image: Image
    config: bytes
    names: tuple[str, ...]


class Importer:
    """Makes images known."""

    def __init__(self, *, book: ImageBook, journal: Journal, layers: Layers, root: Path, platform: Platform) -> None:
        self._book, self._journal, self._layers = book, journal, layers
        self._blobs, self._spool, self._platform = root / "blobs" / "sha256", root / "tmp", platform
        self._pool = Pool("images", 4)
        journal.register("image.load", self._undo)

    def blob(self, image_id: str) -> Path:
        """Where an image's config lies."""
        return self._blobs / image_id.removeprefix("sha256:")

    async def load(self, stream: AsyncIterator[bytes], *, platform: Platform | None, report: Report) -> Sequence[str]:
        """Add the images of an archive; returns the lines that `docker load` prints."""
        name = f"load-{new_id()[:16]}"
        async with self._journal.operation("image.load", name) as operation:
            path, _ = await self._receive(name, stream)
            archived = await self._pool.run("image.load.read", lambda: self._read(path, platform), READ_DEADLINE)
            wanted = self._chosen(archived, platform)
            await operation.note(images=[[each.image.id, each.image.chain_ids] for each in wanted])
            with self._layers.hold([chain for each in wanted for chain in each.image.chain_ids]):
                new = [
                    _New(await self._with_layers(w.image, w.archived.layers, report), w.archived.config, w.names)
                    for w in wanted
                ]
                lines = await self._record(operation, path, new)
        for each in wanted:
            self._book.emit("load", each.image.id, each.image.id)
        return lines

    async def _record(self, operation: Operation, spool: Path, new: Sequence[_New]) -> list[str]:
        """Make images known whose layers are here; returns what `docker load` prints."""
        lines: list[str] = []
        async with self._book.turn([each.image.id for each in new], "load"):
            rows = [row for each in new for row in await self._with_config(each)]
            await self._pool.run("image.load.clean", lambda: spool.unlink(missing_ok=True))
            async with self._book.naming:
                for each in new:
                    for name in each.names:
                        lines += self._replaced(name, each.image.id)
                        rows += self._book.point(name, each.image)
                    lines += _loaded(each.image, each.names)
                await operation.commit(*rows)
        return lines

    def _read(self, path: Path, platform: Platform | None) -> Sequence[ArchivedImage]:
        if is_compressed(path):
            unpack_file(path)
        return read_archive(path, platform or self._platform)

    def _chosen(self, archived: Sequence[ArchivedImage], platform: Platform | None) -> list[_Wanted]:
        """The images that are to be added. Raises `NotFound` if none is for the platform that was asked for."""
        wanted = [
            _Wanted(
                read_config(each.config, added_ns=time.time_ns()),
                each,
                tuple(parse_reference(tag).tagged for tag in each.tags),
            )
            for each in archived
        ]
        if platform is None:
            return wanted
        fitting = [each for each in wanted if Platform.of(each.image).matches(platform)]
        if wanted and not fitting:
            found = ", ".join(sorted({str(Platform.of(each.image)) for each in wanted}))
            raise NotFound(f"requested platform ({platform}) does not match image platform ({found})")
        return fitting

    def _replaced(self, name: str, image_id: str) -> list[str]:
        tag = self._book.tags.get(name)
        if tag is None or tag.image == image_id:
            return []
        return [f"The image {name} already exists, renaming the old one with ID {tag.image} to empty string"]

    async def import_(
        self, stream: AsyncIterator[bytes], *, repository: str, tag: str, changes: Sequence[str], message: str,
        platform: Platform | None,
    ) -> str:  # fmt: skip
        """Make a one-layer image from the tar of a root file system; returns its id."""
        name, reference = f"load-{new_id()[:16]}", named(repository, tag)
        run = apply_changes({}, changes)
        async with self._journal.operation("image.load", name) as operation:
            path, content = await self._receive(name, stream)
            source = await self._pool.run("image.load.read", lambda: whole_file(path, content), READ_DEADLINE)
            blob = imported_config(source.diff_id, run, message, platform or self._platform)
            image = read_config(blob, added_ns=time.time_ns())
            await operation.note(images=[[image.id, image.chain_ids]])
            with self._layers.hold(image.chain_ids):
                image = await self._with_layers(image, (source.source,), lambda _: None)
                await self._record(operation, path, [_New(image, blob, (reference,) if reference else ())])
        self._book.emit("import", image.id, image.id)
        return image.id

    async def config(self, image: Image) -> Mapping[str, Any]:
        """An image's config blob, decoded."""
        found: Mapping[str, Any] = await self._pool.run(
            "image.config", lambda: json.loads(self.blob(image.id).read_bytes())
        )
        return found

    async def commit(
        self, parent: Image, config: Callable[[str], bytes], layer: AsyncGenerator[bytes, None] | None, name: str
    ) -> Image:
        """Make an image of `parent` and one more layer, if any; `config(diff id, or "")` gives its blob."""
        spool = f"load-{new_id()[:16]}"
        async with self._journal.operation("image.load", spool) as operation:
            sources: list[Source | None] = [None] * len(parent.layers)
            diff_id, path = "", self._spool / spool
            if layer is not None:
                async with aclosing(layer):
                    path, diff_id = await self._receive(spool, layer)
                sources.append(Source(path, 0, path.stat().st_size))
            blob = config(diff_id)
            image = read_config(blob, added_ns=time.time_ns(), parent=parent.id)
            await operation.note(images=[[image.id, image.chain_ids]])
            with self._layers.hold(image.chain_ids):
                image = await self._with_layers(image, sources, lambda _: None)
                await self._record(operation, path, [_New(image, blob, (name,) if name else ())])
        return image

    async def _with_layers(self, image: Image, sources: Sequence[Source | None], report: Report) -> Image:
        """Extract what is missing; the image with its size. A source is None for a layer that is here already."""
        if len(image.layers) != len(sources):
            raise Invalid(f"the image names {len(image.layers)} layers and the archive holds {len(sources)}")
        size, parent = 0, ""
        for chain_id, diff_id, source in zip(image.chain_ids, image.layers, sources, strict=True):

            def progress(done: int, whole: int, id: str = short_id(diff_id)) -> None:
                report(ImageProgress(id, "Loading layer", done, whole))

            layer = await self._layers.ensure(chain_id, diff_id, parent, source, progress)
            size, parent = size + layer.size, chain_id
        return attrs.evolve(image, size=size)

    async def _with_config(self, new: _New) -> list[Change]:
        """Write the config of an image that is not known; the rows that make it so. In the image's turn."""
        if self._book.images.get(new.image.id) is not None:
            return []
        await self._pool.run("image.load.blob", lambda: write_file(self.blob(new.image.id), new.config, sync=True))
        return [self._book.images.put(new.image)]

    async def _receive(self, name: str, stream: AsyncIterator[bytes]) -> tuple[Path, str]:
        """Write the stream to a file of ours; returns its path and digest."""
        path, content = self._spool / name, hashlib.sha256()

        def take(data: bytes) -> None:
            write_all(opened[0], data)
            content.update(data)

        opened: list[int] = []  # filled by the thread, so that nothing stays open if the caller is cancelled meanwhile
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            await self._pool.run("image.load.spool", lambda: opened.append(os.open(path, flags, 0o600)))
            async for data in stream:
                await to_the_end(asyncio.to_thread(take, data))  # the file is not closed while it is written to
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return path, "sha256:" + content.hexdigest()

    async def _undo(self, name: str, data: Mapping[str, Any]) -> Sequence[Change]:
        """Remove the received file, and what no image names of the layers and blobs that the load brought."""
        await self._pool.run("image.undo.spool", lambda: self._forget(name))
        for image_id, chain in data.get("images", ()):
            async with self._book.turn([image_id], "undo of a load"):
                if self._book.images.get(image_id) is None:
                    blob = self.blob(image_id)
                    await self._pool.run("image.undo.blob", lambda blob=blob: remove_file(blob))  # type: ignore[misc]
            await self._layers.collect(chain, self._book.used_layers)
        return ()

    def _forget(self, name: str) -> None:
        for path in (self._spool / name, self._spool / f"{name}.plain"):
            path.unlink(missing_ok=True)


def _loaded(image: Image, names: Sequence[str]) -> list[str]:
    return [f"Loaded image: {name}" for name in names] or [f"Loaded image ID: {image.id}"]
