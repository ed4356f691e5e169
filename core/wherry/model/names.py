"""Ids and names of objects."""

from __future__ import annotations

import re
import secrets

from wherry.errors import Invalid

ID = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def new_id() -> str:
    """A random id: 64 hexadecimal digits, never all decimal in its first 12 (host names must not look like numbers)."""
    while True:
        value = secrets.token_hex(32)
        if not value[:12].isdecimal():
            return value


def short_id(value: str) -> str:
    """The first 12 digits, as lists show them; a digest loses its algorithm first."""
    return value.rpartition(":")[2][:12]


def check_name(kind: str, name: str) -> str:
    """`name` if it is a valid name for a thing of this kind. Raises `Invalid` with Docker's text."""
    return _checked(kind, name, name)


def check_volume_name(name: str) -> str:
    """`name` if it is a valid name for a volume. Raises `Invalid` with Docker's text."""
    if len(name) == 1:
        raise Invalid(f"create {name}: volume name is too short, names should be at least two alphanumeric characters")
    if not NAME.fullmatch(name):
        raise Invalid(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "{NAME.pattern[:-1]}" '
            "are allowed. If you intended to pass a host directory, use absolute path"
        )
    return name


def container_name(given: str) -> str:
    """The name of a container without the slash that clients may write before it. Raises `Invalid` as `check_name`."""
    return _checked("container", given.removeprefix("/"), given)


def _checked(kind: str, name: str, given: str) -> str:
    if not NAME.fullmatch(name):
        raise Invalid(f"Invalid {kind} name ({given}), only {NAME.pattern[:-1]} are allowed")
    return name
