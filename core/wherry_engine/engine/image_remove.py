"""Taking names from images, and removing images that have none or that nobody uses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import Conflict, NotFound
from wherry.linux.files import remove_file
from wherry.model.images import ImageRecord, Pruned, Removal
from wherry.model.names import short_id
from wherry_engine.engine.filters import Filters, image_prune_candidates
from wherry_engine.engine.image_add import Importer
from wherry_engine.engine.image_book import ImageBook, familiar
from wherry_engine.engine.layers import Layers
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change
from wherry_engine.work import Pool


class Remover:
    """Removes images."""

    def __init__(self, *, book: ImageBook, journal: Journal, layers: Layers, importer: Importer) -> None:
        self._book, self._journal, self._layers, self._importer = book, journal, layers, importer
        self._pool = Pool("image removal", 2)
        self._pruning = False
        journal.register("image.remove", self._finish)

    async def remove(self, ref: str, *, force: bool, parents: bool) -> Removal:
        """Take a name from its image; the last one, or an id, removes the image and the layers that only it needs.

        `parents`: those of its parents that have no name and no other child go too.
        """
        record = self._book.get(ref)
        by_name = self._book.is_name(ref)
        if by_name and len(record.tags) > 1:
            return await self._untag(record, (familiar(ref),))
        if not by_name and len(record.tags) > 1 and not force:
            raise Conflict(
                f"conflict: unable to delete {short_id(record.id)} (must be forced) - image is referenced in multiple "
                "repositories"
            )
        if self._book.children(record.id):
            if by_name and not force and (conflict := self._in_use(record, ref, force)):
                raise conflict
            if by_name:
                return await self._untag(record, record.tags)
            raise Conflict(
                f"conflict: unable to delete {short_id(record.id)} (cannot be forced) - image has dependent child images"
            )
        if conflict := self._in_use(record, ref if by_name else "", force):
            if force and record.tags and (by_name or not any(runs for _, runs in self._book.users(record.id))):
                return await self._untag(record, record.tags)  # it goes when its containers have gone
            raise conflict
        removal = await self._delete(record)
        return await self._with_parents(removal, record.image.parent) if parents else removal

    async def _with_parents(self, removal: Removal, parent: str) -> Removal:
        while (image := self._book.images.get(parent)) is not None:
            record = ImageRecord(image=image, tags=self._book.names(parent))
            if record.tags or self._book.children(parent) or self._book.users(parent) or parent in self._book.removing:
                break
            removal = Removal(removal.untagged, (*removal.deleted, *(await self._delete(record)).deleted))
            parent = image.parent
        return removal

    async def _delete(self, record: ImageRecord) -> Removal:
        layers = {chain for chain in record.image.chain_ids if self._layers.table.get(chain)}
        self._book.removing.add(record.id)  # until its record is gone: nobody may begin with an image whose layers go
        try:
            await self._journal.forward("image.remove", record.id)
        finally:
            self._book.removing.discard(record.id)
        for name in record.tags:
            self._book.emit("untag", record.id, name)
        self._book.emit("delete", record.id)
        chain = reversed(record.image.chain_ids)
        gone = [chain for chain in chain if chain in layers and not self._layers.table.get(chain)]
        return Removal(record.tags, (record.id, *gone))

    def _in_use(self, record: ImageRecord, name: str, force: bool) -> Conflict | None:
        users = self._book.users(record.id)
        running = [id for id, runs in users if runs]
        if name and users and not force:
            return Conflict(
                f'conflict: unable to remove repository reference "{name}" (must force) - container '
                f"{short_id(users[0][0])} is using its referenced image {short_id(record.id)}"
            )
        if running:
            return Conflict(
                f"conflict: unable to delete {short_id(record.id)} (cannot be forced) - image is being used by running "
                f"container {short_id(running[0])}"
            )
        if users:
            note = "cannot be forced" if force else "must be forced"
            return Conflict(
                f"conflict: unable to delete {short_id(record.id)} ({note}) - image is being used by stopped container "
                f"{short_id(users[0][0])}"
            )
        return None

    async def _untag(self, record: ImageRecord, names: Sequence[str]) -> Removal:
        await self._book.database.commit(*(self._book.tags.drop(name) for name in names))
        for name in names:
            self._book.emit("untag", record.id, name)
        return Removal(tuple(names))

    async def _finish(self, image_id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """Layers go before the record that names them: whoever finishes this later must still know them."""
        image = self._book.images.get(image_id)
        if image is None:
            return ()
        await self._layers.collect(image.chain_ids, lambda: self._book.used_layers(without=image_id))
        blob = self._importer.blob(image_id)
        await self._pool.run("image.remove.blob", lambda: remove_file(blob))
        return (self._book.images.drop(image_id), *(self._book.tags.drop(name) for name in self._book.names(image_id)))

    async def prune(self, filters: Filters) -> Pruned:
        """Remove the images that no container uses: those without a name, or all with `dangling=false`."""
        if self._pruning:
            raise Conflict("a prune operation is already running")
        self._pruning = True
        try:
            return await self._prune(filters)
        finally:
            self._pruning = False

    async def _prune(self, filters: Filters) -> Pruned:
        removals: list[Removal] = []
        reclaimed = 0
        for record in image_prune_candidates(self._book.list(), filters, now_ns=time.time_ns()):
            sizes = {c: layer.size for c in record.image.chain_ids if (layer := self._layers.table.get(c))}
            try:
                record = self._book.get(record.id)
                if self._book.users(record.id) or self._book.children(record.id):
                    continue
                removal = await self._delete(record)
            except NotFound:  # somebody else removed it meanwhile
                continue
            removals.append(removal)
            reclaimed += sum(sizes.get(chain, 0) for chain in removal.deleted)
        self._book.emit_prune(reclaimed)
        return Pruned(tuple(removals), reclaimed)
