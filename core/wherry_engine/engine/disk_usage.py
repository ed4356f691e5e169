"""What everything takes on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from wherry.errors import NotFound
from wherry.model.usage import ContainerUsage, DiskUsage, ImageUsage, VolumeUsage
from wherry_engine.engine.containers import Containers
from wherry_engine.engine.images import Images
from wherry_engine.engine.volumes import Volumes


async def disk_usage(kinds: Collection[str], images: Images, containers: Containers, volumes: Volumes) -> DiskUsage:
    """The usage of these kinds: `image`, `container`, `volume`."""
    layers, found = _images(images, containers) if "image" in kinds else (0, ())
    return DiskUsage(
        layers=layers,
        images=found,
        containers=await _containers(containers) if "container" in kinds else (),
        volumes=await _volumes(volumes) if "volume" in kinds else (),
    )


def _images(images: Images, containers: Containers) -> tuple[int, tuple[ImageUsage, ...]]:
    records = images.list()
    users = Counter(container.image_id for container in containers.list())
    chains = Counter(chain for record in records for chain in set(record.image.chain_ids))
    sizes: dict[str, int] = {}
    for record in records:
        sizes.update(zip(record.image.chain_ids, images.layer_sizes(record.image), strict=True))
    found = tuple(
        ImageUsage(
            record=record,
            shared=sum(sizes[chain] for chain in record.image.chain_ids if chains[chain] > 1),
            containers=users[record.id],
        )
        for record in records
    )
    return sum(sizes.values()), found


async def _containers(containers: Containers) -> tuple[ContainerUsage, ...]:
    found = []
    for container in containers.list():
        try:
            own, whole = await containers.size(container.id)
        except NotFound:  # removed meanwhile
            continue
        found.append(ContainerUsage(container=container, own=own, whole=whole))
    return tuple(found)


async def _volumes(volumes: Volumes) -> tuple[VolumeUsage, ...]:
    return tuple(
        [
            VolumeUsage(record=record, size=await volumes.size(record), users=len(volumes.users(record.name)))
            for record in volumes.list()
        ]
    )
