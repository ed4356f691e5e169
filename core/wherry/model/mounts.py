"""Mounts, snapshots and sizes: what storage and volume drivers and the engine hand each other."""

from __future__ import annotations

from typing import Literal

import attrs


@attrs.frozen
class Mount:
    """One mount for the engine or a helper to make: options as fsconfig(2) takes them, in order (`lowerdir+` may repeat).

    A bind with "ro" is remounted; a source HOST:/PATH or //HOST/SHARE is resolved by the helper that mounts it.
    `secrets` are options that travel by descriptor and are never recorded.
    """

    type: str
    source: str
    options: tuple[str, ...] = ()
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class Snapshot:
    """One snapshot as a storage driver lists it."""

    key: str
    parent: str | None
    committed: bool


@attrs.frozen
class Change:
    """One path that differs from the parent snapshot; `path` is absolute within the tree."""

    path: str
    kind: Literal["added", "modified", "deleted"]


@attrs.frozen
class Usage:
    """Disk use of one thing, without what it shares with its parents."""

    bytes: int
    inodes: int
