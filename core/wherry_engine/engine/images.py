"""Images: config blobs named by digest, names that point to them, and the layers they share."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Conflict, Invalid, NotFound
from wherry.linux.files import write_all, write_file
from wherry.model.images import Image, ImageRecord, Removal
from wherry.model.names import new_id, short_id
from wherry.model.references import DIGEST, parse_reference
from wherry_engine.engine.changes import apply_changes
from wherry_engine.engine.events import Events
from wherry_engine.engine.image_files import imported_config, read_archive, read_config, whole_file
from wherry_engine.engine.layers import Layers, Source
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change, Database
from wherry_engine.state.table import Table
from wherry_engine.work import Pool


@attrs.frozen
class Tag:
    """A name, in familiar form with its tag, and the image it points to."""

    name: str
    image: str


class Images:
    """The engine's images. `users(image id)` names the containers made from an image."""

    def __init__(
        self, *, database: Database, journal: Journal, layers: Layers, events: Events, root: Path, architecture: str,
        users: Callable[[str], Sequence[tuple[str, bool]]],
    ) -> None:  # fmt: skip
        self._database, self._journal, self._layers, self._events = database, journal, layers, events
        self._blobs, self._spool, self._architecture, self._users = (
            root / "blobs" / "sha256",
            root / "tmp",
            architecture,
            users,
        )
        self._pool = Pool("images", 4)
        self.table: Table[Image] = Table(database, "image", Image, lambda image: image.id)
        self._tags: Table[Tag] = Table(database, "tag", Tag, lambda tag: tag.name)
        self._removing: set[str] = set()
        journal.register("image.load", self._undo_load)
        journal.register("image.remove", self._finish_remove)

    # --- reading ---

    def list(self) -> Sequence[ImageRecord]:
        """All images with their names, newest first."""
        tags: dict[str, list[str]] = {}
        for tag in self._tags:
            tags.setdefault(tag.image, []).append(tag.name)
        records = [ImageRecord(image=image, tags=tuple(sorted(tags.get(image.id, ())))) for image in self.table]
        return sorted(records, key=lambda record: (record.image.created, record.id), reverse=True)

    def get(self, ref: str) -> ImageRecord:
        """The image by name, id, or unique beginning of its id. Raises `NotFound`, or `Conflict` if several match."""
        image = self._find(ref)
        names = tuple(sorted(tag.name for tag in self._tags if tag.image == image.id))
        return ImageRecord(image=image, tags=names)

    def _find(self, ref: str) -> Image:
        tag = self._tags.get(_familiar(ref))
        if tag is not None and tag.image not in self._removing and (found := self.table.get(tag.image)):
            return found
        hexadecimal = ref.removeprefix("sha256:")
        if hexadecimal and all(c in "0123456789abcdef" for c in hexadecimal):
            known = [image for image in self.table if image.id not in self._removing]
            matches = [image for image in known if image.id[7:].startswith(hexadecimal)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise Invalid(
                    f"the image id {ref} is ambiguous: {len(matches)} images begin so; give more of its digits"
                )
        raise NotFound(f"No such image: {_familiar(ref) or ref}")

    def used_layers(self, without: str = "") -> set[str]:
        """The chain ids that images need, but for the image of this id."""
        return {chain for image in self.table if image.id != without for chain in image.chain_ids}

    def blobs(self) -> set[str]:
        """The names of the files in the store that images need."""
        return {image.id.partition(":")[2] for image in self.table}

    def layers(self) -> set[str]:
        """The chain ids of the layers that are recorded."""
        return {layer.chain_id for layer in self._layers.table}

    def layer_sizes(self, image: Image) -> Sequence[int]:
        """Bytes of each layer, base first, without what it shares with its parents."""
        layers = [self._layers.table.get(chain) for chain in image.chain_ids]
        return [layer.size if layer else 0 for layer in layers]

    # --- load and import ---

    async def load(
        self, stream: AsyncIterator[bytes], *, progress: Callable[[str], None] = lambda _: None
    ) -> Sequence[str]:
        """Add the images of a docker archive; returns the lines that `docker load` prints, one a name."""
        name = f"load-{new_id()[:16]}"
        async with self._journal.operation("image.load", name) as operation:
            path, _ = await self._receive(name, stream)
            archived = await self._pool.run("image.load.read", lambda: read_archive(path), 600)
            images = [read_config(each.config, added_ns=time.time_ns()) for each in archived]
            names = [[parse_reference(tag).tagged for tag in each.tags] for each in archived]
            await operation.note(images=[[image.id, image.chain_ids] for image in images])
            changes: list[Change] = []
            with self._layers.hold([chain for image in images for chain in image.chain_ids]):
                for image, each, known in zip(images, archived, names, strict=True):
                    changes += await self._add(image, each.config, each.layers, progress)
                    changes += [self._tags.put(Tag(tag, image.id)) for tag in known]
                await self._pool.run("image.load.clean", lambda: path.unlink(missing_ok=True))
                await operation.commit(*changes)
        for image in images:
            self._emit("load", image.id)
        return [line for image, known in zip(images, names, strict=True) for line in _loaded(image, known)]

    async def import_(
        self, stream: AsyncIterator[bytes], *, repository: str = "", tag: str = "", changes: Sequence[str] = (),
        message: str = "",
    ) -> str:  # fmt: skip
        """Make a one-layer image from the tar of a root file system; returns its id."""
        name, reference = f"load-{new_id()[:16]}", _named(repository, tag)
        run = apply_changes({}, changes)
        async with self._journal.operation("image.load", name) as operation:
            path, content = await self._receive(name, stream)
            source = await self._pool.run("image.load.read", lambda: whole_file(path, content), 600)
            blob = imported_config(source.diff_id, run, message, self._architecture)
            image = read_config(blob, added_ns=time.time_ns())
            await operation.note(images=[[image.id, image.chain_ids]])
            with self._layers.hold(image.chain_ids):
                rows = await self._add(image, blob, (source.source,), lambda _: None)
                await self._pool.run("image.load.clean", lambda: path.unlink(missing_ok=True))
                await operation.commit(*rows, *([self._tags.put(Tag(reference, image.id))] if reference else []))
        self._emit("import", image.id, reference)
        return image.id

    async def _add(
        self, image: Image, blob: bytes, sources: Sequence[Source], progress: Callable[[str], None]
    ) -> Sequence[Change]:
        """Extract what is missing and write the config; the rows that make the image known."""
        if len(image.layers) != len(sources):
            raise Invalid(f"the image names {len(image.layers)} layers and the archive holds {len(sources)}")
        size, parent = 0, ""
        for chain_id, diff_id, source in zip(image.chain_ids, image.layers, sources, strict=True):
            progress(f"layer {short_id(diff_id)}")
            layer = await self._layers.ensure(chain_id, diff_id, parent, source)
            size, parent = size + layer.size, chain_id
        if self.table.get(image.id) is not None:
            return []
        await self._pool.run("image.load.blob", lambda: write_file(self._blob(image.id), blob, sync=True))
        return [self.table.put(attrs.evolve(image, size=size))]

    def _blob(self, image_id: str) -> Path:
        return self._blobs / image_id.removeprefix("sha256:")

    async def _receive(self, name: str, stream: AsyncIterator[bytes]) -> tuple[Path, str]:
        """Write the stream to a file of ours; returns its path and digest."""
        path, content = self._spool / name, hashlib.sha256()
        descriptor = await self._pool.run("image.load.spool", lambda: os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        try:
            async for data in stream:
                await asyncio.to_thread(write_all, descriptor, data)
                content.update(data)
        finally:
            os.close(descriptor)
        return path, "sha256:" + content.hexdigest()

    async def _undo_load(self, name: str, data: Mapping[str, Any]) -> Sequence[Change]:
        """Remove the received file, and what no image names of the layers and blobs that the load brought."""
        await self._pool.run("image.undo.spool", lambda: (self._spool / name).unlink(missing_ok=True))
        for image_id, chain in data.get("images", ()):
            if self.table.get(image_id) is None:
                blob = self._blob(image_id)
                await self._pool.run("image.undo.blob", lambda blob=blob: blob.unlink(missing_ok=True))  # type: ignore[misc]
            await self._layers.collect(chain, self.used_layers)
        return ()

    # --- names and removal ---

    async def tag(self, ref: str, repository: str, tag: str = "") -> None:
        """Let a name point to the image; it leaves the image it pointed to."""
        image = self.get(ref).image
        name = _named(repository, tag)
        if not name:
            raise Invalid("a repository name is required: say NAME or NAME:TAG")
        await self._database.commit(self._tags.put(Tag(name, image.id)))
        self._emit("tag", image.id, name)

    async def remove(self, ref: str, *, force: bool = False, prune: bool = True) -> Removal:
        """Take a name from its image; the last one, or an id, removes the image and the layers that only it needs.

        `prune` is Docker's for parents without a name; images here have none.
        """
        del prune
        record = self.get(ref)
        by_name = self._tags.get(_familiar(ref)) is not None
        if by_name and len(record.tags) > 1:
            return await self._untag(record, (_familiar(ref),))
        if not by_name and len(record.tags) > 1 and not force:
            raise Conflict(
                f"conflict: unable to delete {short_id(record.id)} (must be forced) - image is referenced in multiple "
                "repositories"
            )
        if conflict := self._in_use(record, ref, force):
            if by_name and force:
                return await self._untag(record, record.tags)
            raise conflict
        layers = {chain for chain in record.image.chain_ids if self._layers.table.get(chain)}
        self._removing.add(record.id)  # until its record is gone: nobody may begin with an image whose layers go
        try:
            await self._journal.forward("image.remove", record.id)
        finally:
            self._removing.discard(record.id)
        for name in record.tags:
            self._emit("untag", record.id, name)
        self._emit("delete", record.id)
        gone = [
            chain for chain in reversed(record.image.chain_ids) if chain in layers and not self._layers.table.get(chain)
        ]
        return Removal(record.tags, (record.id, *gone))

    def _in_use(self, record: ImageRecord, ref: str, force: bool) -> Conflict | None:
        users = self._users(record.id)
        running = [id for id, runs in users if runs]
        shown = ref if self._tags.get(_familiar(ref)) else short_id(record.id)
        if running:
            return Conflict(
                f"conflict: unable to delete {shown} (cannot be forced) - image is being used by running container "
                f"{short_id(running[0])}"
            )
        if users:
            note = "cannot be forced" if force else "must be forced"
            return Conflict(
                f"conflict: unable to delete {shown} ({note}) - image is being used by stopped container "
                f"{short_id(users[0][0])}"
            )
        return None

    async def _untag(self, record: ImageRecord, names: Sequence[str]) -> Removal:
        await self._database.commit(*(self._tags.drop(name) for name in names))
        for name in names:
            self._emit("untag", record.id, name)
        return Removal(tuple(names))

    async def _finish_remove(self, image_id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """Layers go before the record that names them: whoever finishes this later must still know them."""
        image = self.table.get(image_id)
        if image is None:
            return ()
        await self._layers.collect(image.chain_ids, lambda: self.used_layers(without=image_id))
        await self._pool.run("image.remove.blob", lambda: self._blob(image_id).unlink(missing_ok=True))
        return (self.table.drop(image_id), *(self._tags.drop(tag.name) for tag in self._tags if tag.image == image_id))

    def _emit(self, action: str, image_id: str, name: str = "") -> None:
        image = self.table.get(image_id)
        labels = dict(image.config.labels) if image else {}
        known = [tag.name for tag in self._tags if tag.image == image_id]
        self._events.emit("image", action, image_id, labels | {"name": name or (known[0] if known else image_id)})


def _loaded(image: Image, names: Sequence[str]) -> list[str]:
    return [f"Loaded image: {name}" for name in names] or [f"Loaded image ID: {image.id}"]


def _familiar(ref: str) -> str:
    """The name a reference means, "" if it is none."""
    if DIGEST.fullmatch(ref):
        return ""
    try:
        return parse_reference(ref).tagged
    except Invalid:
        return ""


def _named(repository: str, tag: str) -> str:
    if not repository:
        return ""
    parsed = parse_reference(repository)
    if parsed.digest:
        raise Invalid("refusing to create a tag with a digest reference")
    return parse_reference(f"{parsed.repository}:{tag}").tagged if tag else parsed.tagged
