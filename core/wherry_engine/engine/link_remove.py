"""Taking away a --link of the default network: `rm --link CONTAINER/ALIAS`. Both containers stay as they are otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Conflict, NotFound
from wherry_engine.engine import links
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_files import Folders, drop_line
from wherry_engine.engine.sandbox_views import link
from wherry_engine.journal.journal import Journal
from wherry_engine.state.database import Change
from wherry_engine.work import Pool


class Unlinker:
    """Removes links. What a container was told of another by variables it keeps, as with Docker."""

    def __init__(self, book: Book, journal: Journal, actors: Actors, folders: Folders) -> None:
        self._book, self._journal, self._actors, self._folders = book, journal, actors, folders
        self._pool = Pool("links", 1)
        journal.register("container.unlink", self._finish)

    async def unlink(self, name: str) -> None:
        """Remove the link that CONTAINER/ALIAS names. Raises `Conflict` for a container's own name, `NotFound`."""
        container, slash, alias = name.strip("/").rpartition("/")
        if not slash:
            raise Conflict("Conflict, cannot remove the default link name of the container")
        id = self._book.get(container).id
        async with self._actors.turn(f"container/{id}", "removing a link"):
            if alias not in [known for _, known in links.pairs(self._book.get(id))]:
                raise NotFound(f"container {container} has no link {alias} in the default network")
            await self._journal.forward("container.unlink", id, alias=alias)

    async def _finish(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        container, alias = self._book.table.get(id), data["alias"]
        if container is None:
            return ()
        gone = [name for name, known in links.pairs(container) if known == alias]
        if container.state.pid:
            for each in links.present(gone, alias, self._book.get):
                address, names = links.host_line(each)
                await self._pool.run(
                    "container.unlink.hosts",
                    lambda line=f"{address}\t{names}\n": drop_line(self._folders, container, line),  # type: ignore[misc]
                )
        kept = tuple(text for text in container.host.links or () if link(text)[1] != alias)
        return (self._book.table.put(attrs.evolve(container, host=attrs.evolve(container.host, links=kept))),)
