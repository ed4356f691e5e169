"""Filters of events: which events a listener wants to see."""

from __future__ import annotations

from collections.abc import Callable

from wherry.model.events import Event
from wherry_engine.engine.filter_values import without_tag
from wherry_engine.engine.filters import Filters

# A key that names a type of object matches the event's id or name by prefix, whatever the event's own type is.
OBJECT_KEYS = ("config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume")
EVENT_KEYS = frozenset([*OBJECT_KEYS, "builder", "event", "image", "label", "scope", "type"])
# Actions that carry an argument after a colon.
ARGUED = ("exec_create", "exec_start", "health_status")


def event_matcher(filters: Filters) -> Callable[[Event], bool]:
    """A function that tells whether an event passes all the filters."""
    objects = tuple(key for key in OBJECT_KEYS if filters.get(key))

    def matches(event: Event) -> bool:
        return (
            _action(filters, event.action)
            and filters.exact("type", event.type)
            and filters.exact("scope", event.scope)
            and all(filters.prefix(key, event.id, event.attributes.get("name", "")) for key in objects)
            and _image(filters, event)
            and filters.labels(event.attributes)
        )

    return matches


def _action(filters: Filters, action: str) -> bool:
    wanted = filters.get("event")
    if any(value in ARGUED for value in wanted):
        return filters.prefix("event", action)
    return not wanted or action in wanted


def _image(filters: Filters, event: Event) -> bool:
    """By id or name, with its tag or without."""
    wanted = filters.get("image")
    if not wanted:
        return True
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    return any(each in wanted for each in (event.id, name, without_tag(event.id), without_tag(name)))
