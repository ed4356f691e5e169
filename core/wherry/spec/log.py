"""Log drivers: where a container's output goes. Everything such a driver needs can be imported from here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from wherry.errors import Conflict, Invalid, NotFound, Unavailable, Unsupported, WherryError
from wherry.model.logs import LocalLog, LogInfo, Record
from wherry.spec.base import Context, DriverSpec, hookimpl, spec
from wherry.toolkit.options import NoOptions, option

__all__ = [
    "Conflict", "Context", "Invalid", "LocalLog", "LogDriver", "LogInfo", "NoOptions", "NotFound", "Record",
    "Unavailable", "Unsupported", "WherryError", "hookimpl", "option",
]  # fmt: skip


class LogDriver(DriverSpec):
    """Where a container's output goes. The monitor writes a local log as `start` says; a shipper feeds `send` from it.

    A driver with `send` lives in its driver host alone: `start` runs there first, and again after each restart of the
    host. A LocalLog of format "none" together with `send` is `Invalid`.
    """

    FAMILY = "log"

    @spec
    @abstractmethod
    def start(self, log: LogInfo, options: Any) -> LocalLog:
        """Check the options against this container and say what is written locally."""

    @spec
    @abstractmethod
    def stop(self, container_id: str) -> None:
        """The container's output has ended."""

    @spec
    def send(self, container_id: str, records: Sequence[Record]) -> None:
        """Optional, always in a driver host: deliver one batch (1 MiB or 1 s).

        Returning moves the cursor; `Unavailable` brings the same batch again later.
        """
        raise NotImplementedError
