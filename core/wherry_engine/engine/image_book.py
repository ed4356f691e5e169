"""What everybody who deals with images shares: the records, the names, and what is said of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import attrs

from wherry.errors import Invalid, NotFound
from wherry.model.images import Image, ImageRecord
from wherry.model.references import DIGEST, parse_reference
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.events import Events
from wherry_engine.state.database import Change, Database
from wherry_engine.state.table import Table


@attrs.frozen
class Tag:
    """A name, in familiar form with its tag, and the image it points to."""

    name: str
    image: str


class ImageBook:
    """The images of the engine. `users(image id)` gives (id, whether it runs) of the containers made from an image."""

    def __init__(
        self, database: Database, events: Events, actors: Actors, users: Callable[[str], Sequence[tuple[str, bool]]]
    ) -> None:
        self.database, self._events, self._actors, self.users = database, events, actors, users
        self.images: Table[Image] = Table(database, "image", Image, lambda image: image.id)
        # What containers still stand on, of images that were removed; nobody finds it by name or id.
        self.remains: Table[Image] = Table(database, "image-remains", Image, lambda image: image.id)
        self.tags: Table[Tag] = Table(database, "tag", Tag, lambda tag: tag.name)
        self.removing: set[str] = set()
        self.naming = asyncio.Lock()  # between a look at the names and the commit that follows from it, and no longer

    def list(self) -> Sequence[ImageRecord]:
        """All images with their names, newest first."""
        tags: dict[str, list[str]] = {}
        for tag in self.tags:
            tags.setdefault(tag.image, []).append(tag.name)
        records = [ImageRecord(image=image, tags=tuple(sorted(tags.get(image.id, ())))) for image in self.images]
        return sorted(records, key=lambda record: (record.image.created, record.id), reverse=True)

    def names(self, image_id: str) -> tuple[str, ...]:
        """The names that point to an image."""
        return tuple(sorted(tag.name for tag in self.tags if tag.image == image_id))

    def get(self, ref: str) -> ImageRecord:
        """The image by name, id, or unique beginning of its id. Raises `NotFound`, or `Invalid` if several match
        or it can be no name.
        """
        image = self._find(ref)
        return ImageRecord(image=image, tags=self.names(image.id))

    @asynccontextmanager
    async def turn(self, ids: Collection[str], doing: str) -> AsyncIterator[None]:
        """The turn of all of these images: nobody else names, adds or removes one of them meanwhile."""
        async with AsyncExitStack() as stack:
            for id in sorted(set(ids)):  # all in one order, so that no two wait for each other
                await stack.enter_async_context(self._actors.turn(f"image/{id}", doing))
            yield

    @asynccontextmanager
    async def turn_of(self, ref: str, doing: str) -> AsyncIterator[ImageRecord]:
        """The image that `ref` means when its turn has come. Raises as `get`."""
        id = self.get(ref).id
        while True:
            async with self.turn([id], doing):
                record = self.get(ref)
                if record.id == id:
                    yield record
                    return
            id = record.id  # the name was given to another one meanwhile

    def _find(self, ref: str) -> Image:
        tag = self.tags.get(familiar(ref))
        if tag is not None and tag.image not in self.removing and (found := self.images.get(tag.image)):
            return found
        hexadecimal = ref.removeprefix("sha256:")
        if hexadecimal and all(c in "0123456789abcdef" for c in hexadecimal):
            known = [image for image in self.images if image.id not in self.removing]
            matches = [image for image in known if image.id[7:].startswith(hexadecimal)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise Invalid(
                    f"the image id {ref} is ambiguous: {len(matches)} images begin so; give more of its digits"
                )
        raise NotFound(f"No such image: {ref if DIGEST.fullmatch(ref) else parse_reference(ref).tagged}")

    def is_name(self, ref: str) -> bool:
        """Whether `ref` is a name that points to an image, rather than an id."""
        return self.tags.get(familiar(ref)) is not None

    def children(self, image_id: str) -> bool:
        """Whether another image was made of this one and says so."""
        return any(image.parent == image_id for image in self.images)

    def used_layers(self, without: str = "", released: str = "") -> set[str]:
        """The chain ids that images need, but for the image `without`, and the remains of images, but for those `released`."""
        images = [image for image in self.images if image.id != without]
        images += [image for image in self.remains if image.id != released]
        return {chain for image in images for chain in image.chain_ids}

    def base(self, image_id: str) -> Image | None:
        """What a container of this image stands on, also if the image was removed."""
        return self.images.get(image_id) or self.remains.get(image_id)

    def point(self, name: str, image: Image) -> Sequence[Change]:
        """The rows that let a name point to an image from now on."""
        tagged = attrs.evolve(self.images.get(image.id) or image, tagged_ns=time.time_ns())
        return [self.tags.put(Tag(name, image.id)), self.images.put(tagged)]

    def emit(self, action: str, image_id: str, name: str = "") -> None:
        """An event of the image, with Docker's attributes."""
        image, known = self.images.get(image_id), self.names(image_id)
        labels = dict(image.config.labels) if image else {}
        self._events.emit("image", action, image_id, labels | {"name": name or (known[0] if known else image_id)})

    def emit_prune(self, reclaimed: int) -> None:
        """Unused images were removed."""
        self._events.emit("image", "prune", "", {"reclaimed": str(reclaimed)})


def familiar(ref: str) -> str:
    """The name a reference means, "" if it is none."""
    if DIGEST.fullmatch(ref):
        return ""
    try:
        return parse_reference(ref).tagged
    except Invalid:
        return ""


def named(repository: str, tag: str) -> str:
    """The name for a new tag, "" for none. Raises `Invalid`."""
    if not repository:
        return ""
    parsed = parse_reference(repository)
    if parsed.digest:
        raise Invalid("refusing to create a tag with a digest reference")
    if parsed.repository == "sha256":
        raise Invalid("refusing to create an ambiguous tag using digest algorithm as name")
    return parse_reference(f"{parsed.repository}:{tag}").tagged if tag else parsed.tagged
