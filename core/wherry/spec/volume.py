"""Volume drivers: named places for data. Everything such a driver needs can be imported from here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from wherry.errors import Conflict, Invalid, NotFound, Unavailable, Unsupported, WherryError
from wherry.model.mounts import Mount, Usage
from wherry.spec.base import Context, DriverSpec, hookimpl, spec
from wherry.toolkit.options import NoOptions, option

__all__ = [
    "Conflict", "Context", "Invalid", "Mount", "NoOptions", "NotFound", "Unavailable", "Unsupported", "Usage",
    "VolumeDriver", "WherryError", "hookimpl", "option",
]  # fmt: skip


class VolumeDriver(DriverSpec):
    """Named places for data. The engine counts users and mounts; a helper mounts what a server or a user's path provides."""

    FAMILY = "volume"
    SCOPE: ClassVar[Literal["local", "global"]] = "local"

    @spec
    @abstractmethod
    def create(self, name: str, options: Any) -> str | None:
        """Make the volume; need not reach its server. Return the path where its data shows without a mount, if any.

        What it makes on the disk survives a loss of power once it returns (`wherry.linux.files.sync_directory`).
        """

    @spec
    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove the volume and its data. Nobody uses it. It stays removed after a loss of power."""

    @spec
    @abstractmethod
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        """First use: how to mount it."""

    @spec
    @abstractmethod
    def list_volumes(self) -> Sequence[str]:
        """What is really there; () when the driver keeps nothing."""

    @spec
    def detach(self, name: str) -> None:
        """Optional: after the last use and the unmount."""
        raise NotImplementedError

    @spec
    def usage(self, name: str) -> Usage:
        """Optional: bytes and inodes of the volume's data."""
        raise NotImplementedError
