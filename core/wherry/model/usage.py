"""What the engine's objects take on the disk, in bytes."""

from __future__ import annotations

import attrs

from wherry.model.containers import Container
from wherry.model.images import ImageRecord
from wherry.model.volumes import VolumeRecord

UNKNOWN = -1


@attrs.frozen(kw_only=True)
class ImageUsage:
    """An image: what it shares with other images, and how many containers were made from it."""

    record: ImageRecord
    shared: int
    containers: int


@attrs.frozen(kw_only=True)
class ContainerUsage:
    """A container: what it wrote, and all that it sees of its image and of that."""

    container: Container
    own: int
    whole: int


@attrs.frozen(kw_only=True)
class VolumeUsage:
    """A volume: its data, UNKNOWN if that cannot be told, and how many containers refer to it."""

    record: VolumeRecord
    size: int
    users: int


@attrs.frozen(kw_only=True)
class DiskUsage:
    """All of it, as far as asked for; `layers` counts each layer of the images once."""

    layers: int = 0
    images: tuple[ImageUsage, ...] = ()
    containers: tuple[ContainerUsage, ...] = ()
    volumes: tuple[VolumeUsage, ...] = ()
