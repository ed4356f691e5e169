"""Images: what the API asks of them, answered by those who bring in, save, name and remove."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wherry.errors import Invalid
from wherry.model.images import Image, ImageProgress, ImageRecord, Pruned, Removal
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.filters import Filters
from wherry_engine.engine.image_add import Importer
from wherry_engine.engine.image_book import ImageBook, named
from wherry_engine.engine.image_platform import Platform
from wherry_engine.engine.image_remove import Remover
from wherry_engine.engine.image_save import Saver
from wherry_engine.engine.layer_tar import LayerTars
from wherry_engine.engine.layers import Layers
from wherry_engine.engine.processes import Processes
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.load import Driver
from wherry_engine.state.table import Table


class Images:
    """The engine's images. A `ref` is a name, an id, or the unique beginning of one."""

    def __init__(self, *, book: ImageBook, layers: Layers, importer: Importer, saver: Saver, remover: Remover) -> None:
        self._book, self._layers = book, layers
        self._importer, self._saver, self._remover = importer, saver, remover

    @property
    def table(self) -> Table[Image]:
        """The records, by id."""
        return self._book.images

    def list(self) -> Sequence[ImageRecord]:
        """All images with their names, newest first."""
        return self._book.list()

    def get(self, ref: str) -> ImageRecord:
        """One image. Raises `NotFound`, or `Invalid` if several match or it is no name."""
        return self._book.get(ref)

    def base(self, image_id: str) -> Image | None:
        """What a container of this image stands on, also if the image was removed."""
        return self._book.base(image_id)

    def blobs(self) -> set[str]:
        """The names of the files in the store that images need."""
        return {image.id.partition(":")[2] for image in self.table}

    def layers(self) -> set[str]:
        """The chain ids of the layers that are recorded."""
        return {layer.chain_id for layer in self._layers.table}

    def graph(self, image: Image) -> Mapping[str, str]:
        """Where the files of its topmost layer lie, those of the others, and where all would show, if the driver tells."""
        top = self._layers.table.get(image.chain_ids[-1]) if image.chain_ids else None
        return {**top.parts, "MergedDir": str(self._layers.shown(top))} if top and top.parts else {}

    def layer_sizes(self, image: Image) -> Sequence[int]:
        """Bytes of each layer, base first, without what it shares with its parents."""
        layers = [self._layers.table.get(chain) for chain in image.chain_ids]
        return [layer.size if layer else 0 for layer in layers]

    async def load(
        self, stream: AsyncIterator[bytes], *, platform: str = "",
        progress: Callable[[ImageProgress], None] = lambda _: None,
    ) -> Sequence[str]:  # fmt: skip
        """Add the images of an archive; returns the lines that `docker load` prints. `platform` is JSON, or ""."""
        return await self._importer.load(stream, platform=Platform.parse(platform), report=progress)

    async def import_(
        self, stream: AsyncIterator[bytes], *, repository: str = "", tag: str = "", changes: Sequence[str] = (),
        message: str = "", platform: str = "",
    ) -> str:  # fmt: skip
        """Make a one-layer image from the tar of a root file system; returns its id. `platform` as OS/ARCH[/VARIANT]."""
        return await self._importer.import_(
            stream, repository=repository, tag=tag, changes=changes, message=message,
            platform=Platform.from_text(platform),
        )  # fmt: skip

    async def config(self, image: Image) -> Mapping[str, Any]:
        """The image's config blob, decoded."""
        return await self._importer.config(image)

    async def commit(
        self, parent: Image, config: Callable[[str], bytes], layer: AsyncGenerator[bytes, None] | None, repository: str,
        tag: str,
    ) -> Image:  # fmt: skip
        """Make an image of `parent` and one more layer, if any; `config(diff id, or "")` gives its blob."""
        name = named(repository, tag)
        image = await self._importer.commit(parent, config, layer, name)
        if name:
            self._book.emit("tag", image.id, name)
        return image

    async def save(self, refs: Sequence[str], *, platform: str = "") -> AsyncIterator[bytes]:
        """The archive of these images. What is wrong with the request is raised before the stream begins."""
        return await self._saver.save(refs, Platform.parse(platform))

    async def tag(self, ref: str, repository: str, tag: str = "") -> None:
        """Let a name point to the image; it leaves the image it pointed to."""
        self._book.get(ref)  # that there is none is said first
        name = named(repository, tag)
        if not name:
            raise Invalid("a repository name is required: say NAME or NAME:TAG")
        async with self._book.turn_of(ref, "tag") as record:
            async with self._book.naming:
                await self._book.database.commit(*self._book.point(name, record.image))
        self._book.emit("tag", record.id, name)

    async def remove(self, ref: str, *, force: bool = False, prune: bool = True) -> Removal:
        """Take a name from its image; the last one, or an id, removes the image and the layers that only it needs.

        With `prune` the parents that have neither a name nor another child go too.
        """
        return await self._remover.remove(ref, force=force, parents=prune)

    async def release(self, *image_ids: str) -> None:
        """Containers of these images have gone: what is left of images that were removed goes with the last of them."""
        for image_id in image_ids or [image.id for image in self._book.remains]:
            await self._remover.release(image_id)

    async def prune(self, filters: Filters) -> Pruned:
        """Remove the images that no container uses and the filters let through."""
        return await self._remover.prune(filters)


def make_images(
    *, book: ImageBook, journal: Journal, layers: Layers, drivers: Drivers, storage: Driver[StorageDriver],
    processes: Processes, data_root: Path, platform: Platform,
) -> Images:  # fmt: skip
    """The images below a data root, with all who work on them."""
    importer = Importer(book=book, journal=journal, layers=layers, root=data_root / "images", platform=platform)
    tars = LayerTars(
        layers=layers, journal=journal, drivers=drivers, storage=storage, processes=processes,
        mounts=data_root / "mounts",
    )  # fmt: skip
    saver = Saver(book=book, layers=layers, tars=tars, importer=importer)
    remover = Remover(book=book, journal=journal, layers=layers, importer=importer)
    return Images(book=book, layers=layers, importer=importer, saver=saver, remover=remover)
