"""What everything takes on the disk."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from wherry.model.usage import ContainerUsage, DiskUsage, ImageUsage, VolumeUsage
from wherry_api.shapes.images import image_json
from wherry_api.shapes.summaries import ImageNames, container_json
from wherry_api.shapes.volumes import volume_json
from wherry_api.versions import Version

Json = dict[str, Any]


def usage_json(usage: DiskUsage, types: Collection[str], names: ImageNames, version: Version) -> Json:
    """What was asked for; there is no build cache."""
    found: Json = {}
    if "image" in types:
        found |= {"LayersSize": usage.layers, "Images": [_image(each, version) for each in usage.images]}
    if "container" in types:
        found["Containers"] = [_container(each, names, version) for each in usage.containers]
    if "volume" in types:
        found["Volumes"] = [_volume(each) for each in usage.volumes]
    if "build-cache" in types:
        found["BuildCache"] = []
        if version < (1, 42):
            found["BuilderSize"] = 0
    return found


def _image(usage: ImageUsage, version: Version) -> Json:
    return image_json(usage.record, version) | {"SharedSize": usage.shared, "Containers": usage.containers}


def _container(usage: ContainerUsage, names: ImageNames, version: Version) -> Json:
    container = usage.container
    name = names.shown(container.config.image, container.image_id)
    found = container_json(container, name, time.time_ns(), version)
    return found | {"SizeRw": usage.own, "SizeRootFs": usage.whole}


def _volume(usage: VolumeUsage) -> Json:
    return volume_json(usage.record) | {"UsageData": {"RefCount": usage.users, "Size": usage.size}}
