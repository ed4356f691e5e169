"""The log driver `none`: a container's output is not kept."""

from __future__ import annotations

from typing import Any

from wherry.spec.log import LocalLog, LogDriver, LogInfo, hookimpl


class Driver(LogDriver):
    """Keeps nothing; such a container's logs cannot be read."""

    @hookimpl
    def start(self, log: LogInfo, options: Any) -> LocalLog:
        """Have the monitor write nothing."""
        return LocalLog(format="none")

    @hookimpl
    def stop(self, container_id: str) -> None:
        """Nothing is held for any container."""
