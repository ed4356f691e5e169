"""Volumes, both ways."""

from __future__ import annotations

from typing import Any

from wherry.errors import Unsupported
from wherry.model.volumes import VolumeRecord, VolumeSpec
from wherry_api.shapes.configs import ordered
from wherry_api.shapes.read import Fields
from wherry_api.shapes.times import second_text


def volume_json(record: VolumeRecord) -> dict[str, Any]:
    """A volume."""
    return {
        "CreatedAt": second_text(record.created_ns),
        "Driver": record.driver,
        "Labels": ordered(record.labels) or None,
        "Mountpoint": record.mountpoint,
        "Name": record.name,
        "Options": ordered(record.options) or None,
        "Scope": record.scope,
    }


def read_volume(body: Fields) -> VolumeSpec:
    """What a client asks for. Raises `Invalid` with all that is wrong, and `Unsupported`."""
    cluster = body.has("ClusterVolumeSpec")
    spec = VolumeSpec(
        name=body.text("Name"),
        driver=body.text("Driver") or "local",
        options=body.text_map("DriverOpts"),
        labels=body.text_map("Labels"),
    )
    body.check()
    if cluster:
        raise Unsupported("cluster volumes need a swarm, and this node is not part of one")
    return spec
