"""Events, with the fields of today and the ones that old clients read."""

from __future__ import annotations

from typing import Any

from wherry.model.events import Event


def event_json(event: Event) -> dict[str, Any]:
    """One event. `status`, `id` and `from` are the old names of what containers' and images' events say."""
    old: dict[str, str] = {}
    if event.type in ("container", "image"):
        old = {"status": event.action, "id": event.id}
    if event.type == "container" and (image := event.attributes.get("image")):
        old["from"] = image
    return {
        **old,
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(event.attributes)},
        "scope": event.scope,
        "time": event.time_ns // 10**9,
        "timeNano": event.time_ns,
    }
