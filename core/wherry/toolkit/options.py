"""Options of drivers: declared once, read by validation, `plugin inspect`, completion and forms alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs

from wherry.errors import Invalid

T = TypeVar("T")


def option(
    key: str,
    parse: Callable[[str], Any],
    *,
    default: Any = attrs.NOTHING,
    help: str,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """Declare one option as a field of an attrs class; `parse` turns its text into a value or raises ValueError.

    Without a default the option is required. A secret's value is masked wherever it could be shown.
    """
    metadata = {"key": key, "parse": parse, "help": help, "choices": choices, "secret": secret}
    return attrs.field(default=default, repr=not secret, metadata=metadata)


@attrs.frozen
class NoOptions:
    """The schema of a driver that has no options at this scope."""


@attrs.frozen
class OptionInfo:
    """One declared option, as shown to people and programs."""

    key: str
    help: str
    required: bool
    default: str | None
    choices: tuple[str, ...]
    secret: bool


def describe(schema: type) -> list[OptionInfo]:
    """The options that `schema` declares, in order."""
    found = []
    for field in attrs.fields(cast(Any, schema)):
        meta, required = field.metadata, field.default is attrs.NOTHING
        default = None if required or field.default is None or meta["secret"] else str(field.default)
        found.append(OptionInfo(meta["key"], meta["help"], required, default, meta["choices"], meta["secret"]))
    return found


def parse_options(schema: type[T], given: Mapping[str, str]) -> T:
    """Build `schema` from texts. Raises `Invalid` that lists every fault at once, with what would have been right."""
    known = {field.metadata["key"]: field for field in attrs.fields(cast(Any, schema))}
    faults = [f"unknown option {key!r}; {_known(known)}" for key in given if key not in known]
    values: dict[str, Any] = {}
    for key, field in known.items():
        if key in given:
            try:
                values[field.name] = field.metadata["parse"](given[key])
            except ValueError as error:
                shown = "(hidden)" if field.metadata["secret"] else repr(given[key])
                faults.append(f"option {key}: {shown} is not accepted: {error}")
                continue
            if field.metadata["choices"] and values[field.name] not in field.metadata["choices"]:
                faults.append(f"option {key}: {given[key]!r} is not one of {', '.join(field.metadata['choices'])}")
        elif field.default is attrs.NOTHING:
            faults.append(f"option {key} is required: {field.metadata['help']}")
    if faults:
        raise Invalid("; ".join(faults))
    return schema(**values)


def unknown_options(schema: type, given: Mapping[str, str]) -> list[str]:
    """The keys of `given` that `schema` does not declare."""
    known = {field.metadata["key"] for field in attrs.fields(cast(Any, schema))}
    return [key for key in given if key not in known]


def _known(known: Mapping[str, Any]) -> str:
    return f"known are {', '.join(sorted(known))}" if known else "the driver takes none"
