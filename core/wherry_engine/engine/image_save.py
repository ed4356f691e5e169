"""Saving images: their archive as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from wherry.errors import Failed, Invalid, NotFound
from wherry.model.references import parse_reference
from wherry_engine.engine.image_add import Importer
from wherry_engine.engine.image_archive_write import SavedImage, write_archive
from wherry_engine.engine.image_book import ImageBook
from wherry_engine.engine.image_platform import Platform
from wherry_engine.engine.layer_tar import LayerTars
from wherry_engine.engine.layers import Layer, Layers
from wherry_engine.work import Pool


class Saver:
    """Saves images."""

    def __init__(self, *, book: ImageBook, layers: Layers, tars: LayerTars, importer: Importer) -> None:
        self._book, self._layers, self._tars, self._importer = book, layers, tars, importer
        self._pool = Pool("image save", 2)

    async def save(self, refs: Sequence[str], platform: Platform | None) -> AsyncIterator[bytes]:
        """The archive of these images. What is wrong with the request is raised before the stream begins."""
        chosen = self._chosen(refs, platform)
        images = [await self._read(id, names) for id, names in chosen.items()]
        return self._stream(images)

    def _chosen(self, refs: Sequence[str], platform: Platform | None) -> dict[str, list[str]]:
        """The names to save by image id; a repository without tag means all its tags, an id none of the names."""
        if not refs:
            raise Invalid("say which images to save")
        chosen: dict[str, list[str]] = {}
        for ref in refs:
            for id, names in self._named(ref):
                known = chosen.setdefault(id, [])
                known += [name for name in names if name not in known]
        for id in chosen:
            found = Platform.of(self._book.get(id).image)
            if platform is not None and not found.matches(platform):
                raise NotFound(f"no suitable export target found for platform {platform}: the image is for {found}")
        return chosen

    def _named(self, ref: str) -> list[tuple[str, list[str]]]:
        if not self._book.is_name(ref):
            tags = self._of_repository(ref)
            return tags or [(self._book.get(ref).id, [])]
        reference = parse_reference(ref)
        return self._of_repository(ref) if not reference.tag else [(self._book.get(ref).id, [reference.tagged])]

    def _of_repository(self, ref: str) -> list[tuple[str, list[str]]]:
        try:
            reference = parse_reference(ref)
        except Invalid:
            return []
        if reference.tag or reference.digest:
            return []
        return [
            (t.image, [t.name]) for t in self._book.tags if parse_reference(t.name).repository == reference.repository
        ]

    async def _read(self, id: str, names: Sequence[str]) -> SavedImage:
        image = self._book.get(id).image
        layers = [layer for chain in image.chain_ids if (layer := self._layers.table.get(chain))]
        if len(layers) != len(image.chain_ids):
            raise Failed(f"image {image.id} lacks layers: remove it and load it again")
        config = await self._pool.run("image.save.read", self._importer.blob(image.id).read_bytes)
        return SavedImage(image=image, config=config, layers=layers, names=sorted(names))

    async def _stream(self, images: Sequence[SavedImage]) -> AsyncIterator[bytes]:
        chain = [chain for each in images for chain in each.image.chain_ids]
        try:
            with self._layers.hold(chain):
                async with aclosing(write_archive(images, self._content)) as pieces:
                    async for data in pieces:
                        yield data
        finally:  # whoever removed an image meanwhile left the layers that were being read
            await self._layers.collect(chain, self._book.used_layers)
        for each in images:
            self._book.emit("save", each.image.id, each.image.id)

    def _content(self, layer: Layer) -> AsyncGenerator[bytes, None]:
        return self._tars.stream(layer)
