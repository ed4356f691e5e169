"""Reading the JSON bodies of requests: every fault is noted with its place, so that all are reported at once.

As in Docker, names are found in any case, null means absent, and unknown names are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
import orjson

from wherry.errors import Invalid

T = TypeVar("T")
INT64 = 1 << 63
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def read_fields(body: bytes) -> Fields:
    """The object that a body holds. Raises `Invalid`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"invalid JSON: {error}") from error
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise Invalid(f"invalid JSON: the body must be an object, not {_NAMES[type(value)]}")
    if b"\\u0000" in body and _has_nul(value):
        raise Invalid("invalid JSON: texts must not contain NUL characters")
    return Fields(_folded(value), "", [])


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _folded(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): item for key, item in value.items()}


@attrs.frozen
class Fields:
    """One JSON object of a body, at a place in it, with the list of faults that the whole body shares."""

    values: Mapping[str, Any]
    place: str
    faults: list[str]

    def check(self) -> None:
        """Raise `Invalid` with all the faults found until now, if there are any."""
        if self.faults:
            raise Invalid("invalid request: " + "; ".join(self.faults))

    def fault(self, name: str, what: str) -> None:
        """Note that the field `name` (or this object, for "") is wrong."""
        self.faults.append(f"{self._at(name)} {what}" if name or self.place else what)

    def _at(self, name: str) -> str:
        return f"{self.place}.{name}".strip(".")

    def _get(self, name: str, kind: type, wanted: str = "") -> Any:
        """The value if it is of this kind, else None, noting a fault unless it is absent."""
        value = self.values.get(name.lower())
        if value is None or type(value) is kind:
            return value
        shown = f"{value!r:.60}" if isinstance(value, (str, int, float)) else _NAMES[type(value)]
        self.fault(name, f"must be {wanted or _NAMES[kind]}, not {shown}")
        return None

    # --- single values ---

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name.lower()) is not None

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value: str | None = self._get(name, str)
        return default if value is None else value

    def boolean(self, name: str, default: bool = False) -> bool:
        """A truth value."""
        value = self.maybe_boolean(name)
        return default if value is None else value

    def maybe_boolean(self, name: str) -> bool | None:
        """A truth value, None if absent."""
        value: bool | None = self._get(name, bool)
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number of 64 bits."""
        value = self.maybe_integer(name)
        return default if value is None else value

    def maybe_integer(self, name: str) -> int | None:
        """A whole number of 64 bits, None if absent."""
        value: int | None = self._get(name, int)
        if value is not None and not -INT64 <= value < INT64:
            self.fault(name, f"is out of range: {value}")
            return None
        return value

    # --- lists and maps ---

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return self.maybe_texts(name) or ()

    def maybe_texts(self, name: str) -> tuple[str, ...] | None:
        """A list of texts, None if absent."""
        value = self._get(name, list, "a list of texts")
        if value is None:
            return None
        if not all(type(item) is str for item in value):
            self.fault(name, "must be a list of texts")
            return None
        return tuple(value)

    def command(self, name: str) -> tuple[str, ...] | None:
        """A list of texts, for which a single text may stand."""
        if type(value := self.values.get(name.lower())) is str:
            return (value,)
        return self.maybe_texts(name)

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        value = self._get(name, list, "a list of whole numbers") or []
        if not all(type(item) is int and -INT64 <= item < INT64 for item in value):
            self.fault(name, "must be a list of whole numbers")
            return ()
        return tuple(value)

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of an object whose values say nothing, as {"80/tcp": {}}."""
        return tuple(self._get(name, dict) or ())

    def text_map(self, name: str) -> dict[str, str]:
        """An object of texts."""
        return self.maybe_text_map(name) or {}

    def maybe_text_map(self, name: str) -> dict[str, str] | None:
        """An object of texts, None if absent."""
        value = self._get(name, dict, "an object of texts")
        if value is None:
            return None
        for key, item in value.items():
            if item is not None and type(item) is not str:
                self.fault(f"{name}.{key}", f"must be a text, not {_NAMES[type(item)]}")
        return {key: item for key, item in value.items() if type(item) is str} | {
            key: "" for key, item in value.items() if item is None
        }

    # --- objects ---

    def section(self, name: str) -> Fields:
        """An object, empty if absent."""
        return self.maybe_section(name) or Fields({}, self._at(name), self.faults)

    def maybe_section(self, name: str) -> Fields | None:
        """An object, None if absent."""
        value = self._get(name, dict)
        return None if value is None else Fields(_folded(value), self._at(name), self.faults)

    def sections(self, name: str) -> list[Fields]:
        """A list of objects."""
        found = []
        for index, item in enumerate(self._get(name, list, "a list of objects") or ()):
            place = f"{name}[{index}]"
            if isinstance(item, dict):
                found.append(Fields(_folded(item), self._at(place), self.faults))
            else:
                self.fault(place, f"must be an object, not {_NAMES.get(type(item), 'null')}")
        return found

    def section_map(self, name: str) -> dict[str, Fields]:
        """An object of objects; null stands for an empty one."""
        found = {}
        for key, item in (self._get(name, dict, "an object of objects") or {}).items():
            place = f"{name}.{key}"
            if item is None or isinstance(item, dict):
                found[key] = Fields(_folded(item or {}), self._at(place), self.faults)
            else:
                self.fault(place, f"must be an object, not {_NAMES[type(item)]}")
        return found


def maybe_sections(fields: Fields, name: str, read: Callable[[Fields], T]) -> tuple[T, ...] | None:
    """A list of objects as values, None if absent."""
    return tuple(read(each) for each in fields.sections(name)) if fields.has(name) else None
