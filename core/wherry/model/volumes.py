"""Volumes as callers ask for them and as the engine records them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

ANONYMOUS = "com.docker.volume.anonymous"  # a label, and its value is empty


@attrs.frozen(kw_only=True)
class VolumeSpec:
    """What a caller asks for. An empty name lets the engine choose one, and makes the volume anonymous."""

    name: str = ""
    driver: str = "local"
    options: Mapping[str, str] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class VolumeRecord:
    """A volume as the engine records it. `mountpoint` is where its data shows on the host, "" while it shows nowhere.

    `made_for` is the container whose creation made it and is not over, and would take it away again; "" if there is none,
    or somebody else has been told of the volume meanwhile.
    """

    name: str
    driver: str
    created_ns: int
    mountpoint: str = ""
    options: Mapping[str, str] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    scope: str = "local"
    made_for: str = ""

    @property
    def anonymous(self) -> bool:
        """Whether nobody gave it its name."""
        return ANONYMOUS in self.labels
