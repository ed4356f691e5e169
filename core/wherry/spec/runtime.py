"""Runtime drivers: OCI runtimes. Everything such a driver needs can be imported from here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from wherry.errors import Conflict, Invalid, NotFound, Unavailable, Unsupported, WherryError
from wherry.model.runtimes import Runtime
from wherry.spec.base import Context, DriverSpec, hookimpl, spec
from wherry.toolkit.options import NoOptions, option

__all__ = [
    "Conflict", "Context", "Invalid", "NoOptions", "NotFound", "Runtime", "RuntimeDriver", "Unavailable", "Unsupported",
    "WherryError", "hookimpl", "option",
]  # fmt: skip


class RuntimeDriver(DriverSpec):
    """An OCI runtime. Its command line is the contract, and the monitor runs it."""

    FAMILY = "runtime"

    @spec
    @abstractmethod
    def probe(self) -> Runtime:
        """Find the program and its version. Raises `Unsupported` if it cannot run here."""

    @spec
    def recognize(self, argv: tuple[str, ...]) -> Runtime | None:
        """Optional: the runtime that the configuration names by its program and the options before the OCI command.

        None if it is of another kind than this driver's, so that its bundles are not to be adapted by it. Raises `Unsupported`
        if it is not on this host.
        """
        raise NotImplementedError

    @spec
    def adapt(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Optional: last edit of the OCI config.json (crun's precompiled seccomp filter)."""
        raise NotImplementedError
