"""Storage drivers: snapshots of file trees. Everything such a driver needs can be imported from here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from wherry.errors import Conflict, Invalid, NotFound, Unavailable, Unsupported, WherryError
from wherry.model.mounts import Change, Mount, Snapshot, Usage
from wherry.spec.base import Context, DriverSpec, hookimpl, spec
from wherry.toolkit.options import NoOptions, option

__all__ = [
    "Change", "Conflict", "Context", "Invalid", "Mount", "NoOptions", "NotFound", "Snapshot", "StorageDriver",
    "Unavailable", "Unsupported", "Usage", "WherryError", "hookimpl", "option",
]  # fmt: skip


class StorageDriver(DriverSpec):
    """Snapshots of file trees: *active* (being written) or *committed* (may be a parent).

    Keys and names are safe file names in one namespace; a removed one may return. The engine mounts, extracts, walks and,
    before `commit`, syncs what it wrote; the driver syncs what `commit` and `remove` change. If the mount is an overlay with an upperdir, layers
    are extracted into that upperdir, unmounted, with overlay whiteouts; else into the mounted tree, where a whiteout is
    a deletion. One live instance a root. FEATURES: "quota", "idmap"; a feature or optional hook may still raise
    `Unsupported` on this host: the engine falls back or refuses.
    """

    FAMILY = "storage"

    @spec
    @abstractmethod
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        """Make the active snapshot `key` of committed `parent` (None: empty) and return how to mount it.

        `writable` False asks for a view that is never committed (a container's --read-only is not this: that is a mount
        option of the engine). `quota` is in bytes. Raises `NotFound` if there is no committed `parent`.
        """

    @spec
    @abstractmethod
    def commit(self, key: str, name: str) -> None:
        """Turn active `key` into committed `name`, atomically. The engine has unmounted it. Raises `NotFound`.

        Survives a loss of power once it returns: after a rename, that is `wherry.linux.files.sync_directory`.
        """

    @spec
    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove a snapshot of either kind. Its children are gone already. It stays removed after a loss of power."""

    @spec
    @abstractmethod
    def list_snapshots(self) -> Sequence[Snapshot]:
        """All that is really there. The engine removes what an unfinished operation left; the rest it only reports."""

    @spec
    def usage(self, key: str) -> Usage:
        """Optional, else the engine walks: bytes and inodes of the snapshot itself, without its parents."""
        raise NotImplementedError

    @spec
    def parts(self, key: str) -> Mapping[str, str]:
        """Optional: where the parts of a snapshot of either kind lie on the host, by name, for people who `inspect` it.

        Absolute paths, as many as make sense joined by colons, that hold for as long as the snapshot lives; whether
        anything is there at the moment is left open. It is asked once, after `prepare` or `commit`. Raises `NotFound`.
        """
        raise NotImplementedError

    @spec
    def changes(self, key: str) -> Sequence[Change]:
        """Optional, else the engine walks: what differs from the parent, by path."""
        raise NotImplementedError
