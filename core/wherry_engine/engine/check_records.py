"""The engine's side of a check: what its records say at one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import attrs

from wherry.model.networks import EndpointState
from wherry_engine.engine.check_view import View, touched
from wherry_engine.engine.containers import Containers
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.images import Images
from wherry_engine.engine.layer_names import snapshot_name
from wherry_engine.engine.volumes import Volumes
from wherry_engine.journal.journal import Journal


@attrs.frozen
class Records:
    """Reads them."""

    _containers: Containers
    _images: Images
    _volumes: Volumes
    _journal: Journal
    _endpoints: Endpoints
    volume_mounts: Path  # where volumes show that have to be mounted

    async def view(self) -> View:
        """All that a check compares with the host."""
        intents = await asyncio.to_thread(self._journal.pending)
        shows = {volume.name: volume.mountpoint for volume in self._volumes.list()}
        return View(
            containers={container.id: container for container in self._containers.list()},
            blobs=frozenset(self._images.blobs()),
            layers=frozenset(map(snapshot_name, self._images.layers())),
            volumes={name: "" if Path(at).parent == self.volume_mounts else at for name, at in shows.items()},
            busy=touched(intents),
        )

    async def endpoint_states(self) -> Sequence[tuple[str, EndpointState]]:
        """The endpoints of the containers that run, with their networks' ids."""
        running = [container for container in self._containers.list() if container.state.alive]
        return [state for container in running for state in await self._endpoints.state(container)]

    def volume_drivers(self) -> Sequence[str]:
        """The drivers that have volumes, or would have them by default."""
        return sorted({"local", *(volume.driver for volume in self._volumes.list())})
