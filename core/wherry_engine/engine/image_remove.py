"""Taking names from images, and removing images that have none or that nobody uses."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import Conflict, NotFound, WherryError
from wherry.linux.files import remove_file
from wherry.model.images import ImageRecord, Pruned, Removal
from wherry.model.names import short_id
from wherry_engine.engine.filters import Filters, image_prune_candidates
from wherry_engine.engine.image_add import Importer
from wherry_engine.engine.image_book import ImageBook, familiar
from wherry_engine.engine.layers import Layers
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change
from wherry_engine.work import Pool, to_the_end

log = logging.getLogger(__name__)


class Remover:
    """Removes images."""

    def __init__(self, *, book: ImageBook, journal: Journal, layers: Layers, importer: Importer) -> None:
        self._book, self._journal, self._layers, self._importer = book, journal, layers, importer
        self._pool = Pool("image removal", 2)
        self._pruning = False
        journal.register("image.remove", self._finish)
        journal.register("image.release", self._finish_release)

    async def remove(self, ref: str, *, force: bool, parents: bool) -> Removal:
        """Take a name from its image; the last one, or an id, removes the image and the layers that only it needs.

        `parents`: those of its parents that have no name and no other child go too.
        """
        async with self._book.turn_of(ref, "remove") as record:
            removal, gone = await self._remove(record, ref, force)
        return await self._with_parents(removal, record.image.parent) if parents and gone else removal

    async def _remove(self, record: ImageRecord, ref: str, force: bool) -> tuple[Removal, bool]:
        """What was removed, and whether that is the image."""
        if self._book.is_name(ref):
            if len(record.tags) > 1:
                return await self._untag(record, (familiar(ref),)), False
            users = self._book.users(record.id)
            if users and not force:
                raise Conflict(
                    f'conflict: unable to remove repository reference "{ref}" (must force) - container '
                    f"{short_id(users[0][0])} is using its referenced image {short_id(record.id)}"
                )
            if self._firm_conflict(record.id):  # it loses its last name and stays
                return await self._untag(record, record.tags), False
        elif conflict := self._firm_conflict(record.id) or ("" if force else self._conflict(record)):
            raise Conflict(f"conflict: unable to delete {short_id(record.id)} {conflict}")
        return await self._delete(record), True

    def _firm_conflict(self, image_id: str) -> str:
        """Why the image cannot be removed at all, if so."""
        if self._book.children(image_id):
            return "(cannot be forced) - image has dependent child images"
        running = [id for id, runs in self._book.users(image_id) if runs]
        return (
            f"(cannot be forced) - image is being used by running container {short_id(running[0])}" if running else ""
        )

    def _conflict(self, record: ImageRecord) -> str:
        """Why the image cannot be removed by its id without force, if so."""
        if len(record.tags) > 1:
            return "(must be forced) - image is referenced in multiple repositories"
        users = self._book.users(record.id)
        return f"(must be forced) - image is being used by stopped container {short_id(users[0][0])}" if users else ""

    async def _with_parents(self, removal: Removal, parent: str) -> Removal:
        while parent:
            async with self._book.turn([parent], "remove"):
                image = self._book.images.get(parent)
                if image is None or self._wanted(parent):
                    break
                gone = await self._delete(ImageRecord(image=image, tags=()))
            removal, parent = Removal(removal.untagged, (*removal.deleted, *gone.deleted)), image.parent
        return removal

    def _wanted(self, id: str) -> bool:
        return bool(self._book.names(id) or self._book.children(id) or self._book.users(id))

    async def _delete(self, record: ImageRecord) -> Removal:
        """In the image's turn. Its names are gone at once, and then others may have them."""
        layers = {chain for chain in record.image.chain_ids if self._layers.table.get(chain)}
        self._book.removing.add(record.id)  # until its record is gone: nobody may begin with an image whose layers go
        try:
            await to_the_end(self._without_names(record))
        finally:
            self._book.removing.discard(record.id)
        await self._release(record.id)  # its containers may have gone meanwhile
        for name in record.tags:
            self._book.emit("untag", record.id, name)
        self._book.emit("delete", record.id)
        chain = reversed(record.image.chain_ids)
        gone = [chain for chain in chain if chain in layers and not self._layers.table.get(chain)]
        return Removal(record.tags, (record.id, *gone))

    async def _without_names(self, record: ImageRecord) -> None:
        async with self._book.naming:
            names = [self._book.tags.drop(name) for name in self._book.names(record.id)]
            intent = await self._journal.promise("image.remove", record.id, *names)
        await self._journal.keep(intent)

    async def _untag(self, record: ImageRecord, names: Sequence[str]) -> Removal:
        async with self._book.naming:
            await self._book.database.commit(*(self._book.tags.drop(name) for name in names))
        for name in names:
            self._book.emit("untag", record.id, name)
        return Removal(tuple(names))

    async def _finish(self, image_id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        """Layers go before the record that names them: whoever finishes this later must still know them.

        Those that containers stand on stay, and so does a record of them.
        """
        image = self._book.images.get(image_id)
        if image is None:
            return ()
        users = self._book.users(image_id)
        if not users:
            await self._layers.collect(image.chain_ids, lambda: self._book.used_layers(without=image_id))
        blob = self._importer.blob(image_id)
        await self._pool.run("image.remove.blob", lambda: remove_file(blob))
        forgotten = [self._book.images.drop(image_id), *map(self._book.tags.drop, self._book.names(image_id))]
        return [*forgotten, self._book.remains.put(image)] if users else forgotten

    async def release(self, image_id: str) -> None:
        """A container of the image has gone: if it was removed and no other needs its layers, they go too."""
        if self._book.remains.get(image_id) is not None:
            async with self._book.turn([image_id], "release"):
                await self._release(image_id)

    async def _release(self, image_id: str) -> None:
        if self._book.remains.get(image_id) is None or self._book.users(image_id):
            return
        try:
            await self._journal.forward("image.release", image_id)
        except (WherryError, OSError) as error:  # what the caller removed is gone, and the intent is recorded
            log.warning("the layers of image %s stay until the engine's next start: %s", short_id(image_id), error)

    async def _finish_release(self, image_id: str, _data: Mapping[str, Any]) -> Sequence[Change]:
        remains = self._book.remains.get(image_id)
        if remains is None or self._book.users(image_id):
            return ()
        await self._layers.collect(remains.chain_ids, lambda: self._book.used_layers(released=image_id))
        return (self._book.remains.drop(image_id),)

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
                async with self._book.turn_of(record.id, "prune") as now:
                    if now.tags != record.tags or self._book.users(now.id) or self._book.children(now.id):
                        continue  # it was given a name meanwhile, and may not be what was to be pruned
                    removal = await self._delete(now)
            except NotFound:  # somebody else removed it meanwhile
                continue
            removals.append(removal)
            reclaimed += sum(sizes.get(chain, 0) for chain in removal.deleted)
        self._book.emit_prune(reclaimed)
        return Pruned(tuple(removals), reclaimed)
