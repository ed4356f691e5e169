"""Events: what happened to an object, in Docker's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

EventType = Literal["container", "image", "network", "volume", "daemon", "plugin", "builder"]


@attrs.frozen
class Event:
    """One thing that happened. `attributes` are Docker's for this type and action; `time_ns` since the epoch."""

    type: EventType
    action: str
    id: str
    attributes: Mapping[str, str]
    time_ns: int
    scope: str = "local"
