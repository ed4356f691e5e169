"""What everybody who deals with containers shares: the records, the names, who waits, and what is said of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from wherry.errors import Conflict, Invalid, NotFound
from wherry.model.containers import Container, ExitResult, MountPoint, State
from wherry.model.networks import EndpointRecord
from wherry_engine.engine.events import Events
from wherry_engine.state.database import Database
from wherry_engine.state.table import Table

CONDITIONS = ("not-running", "next-exit", "removed")


@attrs.define
class Creation:
    """What a container that is being created needs, and nobody may take away."""

    image_id: str
    volumes: frozenset[str] = frozenset()  # names, once they are known


class Book:
    """The containers of the engine."""

    def __init__(self, database: Database, events: Events) -> None:
        self.database, self._events = database, events
        self.table: Table[Container] = Table(database, "container", Container, lambda container: container.id)
        self._names: dict[str, str] = {}  # reserved by creations under way: name: id
        self._creating: dict[str, Creation] = {}  # by container id
        self.removing: set[str] = set()
        self._waiters: dict[str, list[tuple[str, asyncio.Future[ExitResult]]]] = {}

    # --- finding ---

    def list(self) -> Sequence[Container]:
        """All containers, newest first."""
        return sorted(self.table, key=lambda container: container.created_ns, reverse=True)

    def get(self, ref: str) -> Container:
        """The container by id, name or unique beginning of its id. Raises `NotFound`, `Invalid` if several match."""
        name = ref.removeprefix("/")
        if found := self.table.get(ref):
            return found
        matches = []
        for container in self.table:
            if container.name == name:
                return container
            if ref and container.id.startswith(ref):
                matches.append(container)
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise Invalid(
                f"the container id {ref} is ambiguous: {len(matches)} containers begin so; give more of its digits"
            )
        raise NotFound(f"No such container: {ref}")

    def names(self) -> set[str]:
        """Every name that is taken."""
        return {container.name for container in self.table} | set(self._names)

    def image_users(self, image_id: str) -> Sequence[tuple[str, bool]]:
        """(id, whether it runs) of the containers of an image, those being created among them."""
        made = [(c.id, c.running) for c in self.table if c.image_id == image_id]
        return made + [(id, False) for id, creation in self._creating.items() if creation.image_id == image_id]

    def volume_users(self, name: str) -> Sequence[str]:
        """Ids of the containers that use a volume, those being created among them."""
        made = [c.id for c in self.table if any(point.name == name for point in c.mounts)]
        coming = [id for id, creation in self._creating.items() if name in creation.volumes and id not in made]
        return [id for id in (*made, *coming) if id not in self.removing]

    def network_members(self, network_id: str) -> Mapping[str, tuple[Container, EndpointRecord]]:
        """The containers of a network with their endpoints, by container id."""
        return {c.id: (c, e) for c in self.table for e in c.networks.values() if e.network_id == network_id}

    @contextmanager
    def reserved(self, name: str, id: str) -> Iterator[None]:
        """Keep the name free of others while somebody is about to take it. Raises `Conflict`."""
        owner = self._names.get(name) or next((c.id for c in self.table if c.name == name), "")
        if owner:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._names[name] = id
        try:
            yield
        finally:
            del self._names[name]

    @contextmanager
    def creation(self, id: str, name: str, image_id: str) -> Iterator[Creation]:
        """Reserve the name and keep the image while the container is being created. Raises `Conflict`."""
        with self.reserved(name, id):
            creation = self._creating[id] = Creation(image_id)
            try:
                yield creation
            finally:
                del self._creating[id]

    # --- waiting ---

    def wait(self, ref: str, condition: str) -> asyncio.Future[ExitResult]:
        """A future of the container's end; it counts from this call on."""
        if condition not in CONDITIONS:
            raise Invalid(f"invalid condition: {condition!r}; use one of {', '.join(CONDITIONS)}")
        container = self.get(ref)
        future: asyncio.Future[ExitResult] = asyncio.get_running_loop().create_future()
        if condition == "not-running" and not container.running:
            future.set_result(ExitResult(exit_code=container.state.exit_code))
        else:
            waiters = self._waiters.setdefault(container.id, [])
            waiters.append((condition, future))
            future.add_done_callback(lambda _: self._forget(container.id, future))
        return future

    def _forget(self, id: str, future: asyncio.Future[ExitResult]) -> None:
        left = [item for item in self._waiters.get(id, ()) if item[1] is not future]
        if left:
            self._waiters[id] = left
        else:
            self._waiters.pop(id, None)

    def ended(self, id: str, result: ExitResult, *, removed: bool = False) -> None:
        """Tell those who wait for the end, or for the removal too."""
        for condition, future in tuple(self._waiters.get(id, ())):
            if not future.done() and (removed or condition != "removed"):
                future.set_result(result)

    # --- saying ---

    def emit(self, action: str, container: Container, **more: str) -> None:
        """An event of the container, with Docker's attributes."""
        attributes = {**container.config.labels, "image": container.config.image, "name": container.name, **more}
        self._events.emit("container", action, container.id, attributes)

    def emit_network(self, action: str, container: Container, name: str, network_id: str, driver: str) -> None:
        """A container was connected to a network, or disconnected."""
        self._events.emit("network", action, network_id, {"container": container.id, "name": name, "type": driver})

    def emit_volume(self, container: Container, point: MountPoint, *, mounted: bool) -> None:
        """A volume was mounted for a container, or unmounted."""
        told = {"container": container.id, "driver": point.driver}
        if mounted:
            write = "true" if point.writable else "false"
            told |= {"destination": point.destination, "propagation": point.propagation, "read/write": write}
        self._events.emit("volume", "mount" if mounted else "unmount", point.name, told)


def stopped(container: Container, state: State) -> Container:
    """Without process, ports and addresses; the networks that it belongs to stay."""
    networks = {n: EndpointRecord(network_id=r.network_id, spec=r.spec) for n, r in container.networks.items()}
    return attrs.evolve(container, state=attrs.evolve(state, pid=0), networks=networks, ports=())
