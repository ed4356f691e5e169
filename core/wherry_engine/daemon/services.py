"""Services: subsystems that run beside the engine (the API is one), found through entry points."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import Protocol, cast

from wherry.errors import Failed
from wherry_engine.daemon.config import Config, Listening
from wherry_engine.engine.engine import Engine

GROUP = "wherry.service"

log = logging.getLogger(__name__)


class Service(Protocol):
    """What an entry point of the group makes; an internal seam without promise."""

    def __init__(self, engine: Engine) -> None:
        """Nothing happens yet."""

    async def start(self, listening: Listening) -> None:
        """Begin to serve; `listening` says where the API is to be found."""

    async def stop(self) -> None:
        """End, gracefully."""


class Services:
    """The services of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loaded: list[Service] = []
        self._running: list[Service] = []

    def load(self) -> None:
        """Make every installed service, and let it hear what the engine tells. Raises `Failed` that names one that cannot."""
        for point in entry_points(group=GROUP):
            if point.dist is None or point.dist.name != "wherry":
                log.warning("the service %s of another distribution is not loaded", point.name)
                continue
            try:
                service = cast(type[Service], point.load())(self._engine)
            except ImportError as error:
                raise Failed(f"the service {point.name} cannot be loaded: {error}") from error
            self._engine.broadcasts.register(service, point.name)
            self._loaded.append(service)

    async def start(self, config: Config) -> None:
        """Start them; the engine is ready."""
        for service in self._loaded:
            await service.start(config.listening)
            self._running.append(service)

    async def stop(self) -> None:
        """Stop them all, last started first."""
        for service in reversed(self._running):
            await service.stop()
        self._running.clear()
