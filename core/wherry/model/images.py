"""Images as the engine records them."""

from __future__ import annotations

import attrs

from wherry.model.configs import Config


@attrs.frozen(kw_only=True)
class History:
    """One step of an image's making. `created_ns` since the epoch."""

    created_ns: int = 0
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@attrs.frozen(kw_only=True)
class Image:
    """One image. `id` is the digest of its config blob ("sha256:..."), which lies as a file in the blob store.

    `layers` are diff ids, base first; the storage driver's committed snapshot of a layer is named by its chain id.
    """

    id: str
    config: Config
    created: str = ""  # RFC 3339, as the config blob says it
    architecture: str = "amd64"
    variant: str = ""
    os: str = "linux"
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    layers: tuple[str, ...] = ()
    chain_ids: tuple[str, ...] = ()
    history: tuple[History, ...] = ()
    size: int = 0  # bytes of all layers, unpacked
    parent: str = ""
    added_ns: int = 0  # when this engine got it
    tagged_ns: int = 0  # when a name last came to point to it; 0 is never


@attrs.frozen(kw_only=True)
class ImageRecord:
    """An image with the names that point to it now."""

    image: Image
    tags: tuple[str, ...] = ()  # familiar form, as busybox:latest
    digests: tuple[str, ...] = ()  # as busybox@sha256:...

    @property
    def id(self) -> str:
        """The image's id."""
        return self.image.id


@attrs.frozen
class ImageProgress:
    """How far a part of a long job is: `id` is the layer's short id, `done` and `whole` are bytes."""

    id: str
    status: str
    done: int
    whole: int


@attrs.frozen
class Removal:
    """What removing an image did: names that no longer point to it and, if it went, its id and layers."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@attrs.frozen
class Pruned:
    """What a prune removed, and how many bytes that freed."""

    removals: tuple[Removal, ...]
    reclaimed: int
