"""Recorded values as JSON: one converter for every attrs value of `wherry.model`."""

from __future__ import annotations

from typing import Any, TypeVar

from cattrs.preconf.orjson import make_converter

T = TypeVar("T")

# Defaults are left out: rows stay small, and a field that a later version adds gets its default when an old row is read.
_converter = make_converter(omit_if_default=True, forbid_extra_keys=False)


def encode(value: Any) -> bytes:
    """An attrs value (or plain JSON data) as JSON text."""
    return _converter.dumps(value)


def decode(text: bytes, kind: type[T]) -> T:
    """The value that `encode` made the text of."""
    return _converter.loads(text, kind)


def to_data(value: Any) -> Any:
    """An attrs value as plain JSON data, to be a part of another."""
    return _converter.unstructure(value)


def from_data(data: Any, kind: type[T]) -> T:
    """The value that `to_data` made the data of."""
    return _converter.structure(data, kind)
