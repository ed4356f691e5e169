"""Images: items of lists, inspection, history and removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wherry.model.images import ImageProgress, ImageRecord, Removal
from wherry_api.shapes.configs import image_config_json, legacy_image_config_json
from wherry_api.shapes.times import NEVER, epoch_seconds, time_text
from wherry_api.versions import Version

Json = dict[str, Any]


def image_json(record: ImageRecord, version: Version) -> Json:
    """One image of a list. -1 is: not counted."""
    image = record.image
    tags, digests = list(record.tags), list(record.digests)
    if version < (1, 43) and not tags and not digests:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    virtual = {"VirtualSize": image.size} if version < (1, 44) else {}
    return {
        "Containers": -1,
        "Created": epoch_seconds(image.created),
        "Id": image.id,
        "Labels": image.config.labels or None,
        "ParentId": image.parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": -1,
        "Size": image.size,
        **virtual,
    }


def inspect_image_json(record: ImageRecord, driver: str, graph: Mapping[str, str], version: Version) -> Json:
    """All about an image."""
    image = record.image
    config = image_config_json(image.config) if version >= (1, 50) else legacy_image_config_json(image.config)
    found: Json = {
        "Id": image.id,
        "RepoTags": record.tags,
        "RepoDigests": record.digests,
        "Parent": image.parent,
        "Comment": image.comment,
        "Created": image.created or NEVER,
        "DockerVersion": image.docker_version,
        "Author": image.author,
        "Config": config,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": dict(graph) or None, "Name": driver},
        "RootFS": {"Type": "layers", "Layers": image.layers},
        "Metadata": {"LastTagTime": time_text(image.tagged_ns)},
    }
    if image.variant:
        found["Variant"] = image.variant
    if version < (1, 44):
        found["VirtualSize"] = image.size
    if version < (1, 45):
        found |= {"Container": "", "ContainerConfig": None}
    return found


def history_json(record: ImageRecord, layer_sizes: Sequence[int], parents: Sequence[ImageRecord] = ()) -> list[Json]:
    """The steps that made an image, newest first; the last one has the image's id and names, others those of parents."""
    image, sizes = record.image, iter(reversed(layer_sizes))
    found: list[Json] = [
        {
            "Id": "<missing>",
            "Created": step.created_ns // 10**9,
            "CreatedBy": step.created_by,
            "Tags": None,
            "Size": 0 if step.empty_layer else next(sizes, 0),
            "Comment": step.comment,
        }
        for step in reversed(image.history)
    ]
    if not found:
        found = [
            {"Id": "", "Created": epoch_seconds(image.created), "CreatedBy": "", "Tags": None}
            | {"Size": image.size, "Comment": image.comment}
        ]
    for each in (record, *parents):
        if 0 < len(each.image.history) <= len(found):
            found[len(found) - len(each.image.history)] |= {"Id": each.id, "Tags": each.tags or None}
    found[0] |= {"Id": image.id, "Tags": record.tags or None}
    return found


def removal_json(removal: Removal) -> list[Json]:
    """What a removal did."""
    return [{"Untagged": name} for name in removal.untagged] + [{"Deleted": id} for id in removal.deleted]


def progress_json(report: ImageProgress) -> Json:
    """How far a layer is, with the bar that clients draw."""
    return {
        "status": report.status,
        "progressDetail": {"current": report.done, "total": report.whole},
        "progress": progress_bar(report.done, report.whole),
        "id": report.id,
    }


def progress_bar(done: int, whole: int) -> str:
    """Fifty places and the two sizes, as the docker client shows them."""
    places = 50 * done // whole if whole else 50
    bar = "=" * places + (">" if places < 50 else "")
    return f"[{bar:<50}] {_size(done):>8}/{_size(whole)}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.4g}{unit}"
        count /= 1000
    raise AssertionError("unreachable: the last unit returns")
