"""Connecting containers to networks and disconnecting them, while they run and while they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Forbidden, Invalid, NotFound
from wherry.model.containers import Container
from wherry.model.networks import EndpointRecord, EndpointSpec, NetworkRecord, PortMapping
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_files import Folders, update_files
from wherry_engine.engine.endpoint_checks import check_company, check_endpoint
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.processes import Processes
from wherry_engine.engine.sandbox_views import Records
from wherry_engine.journal.journal import Journal
from wherry_engine.state.codec import from_data, to_data
from wherry_engine.state.database import Change
from wherry_engine.work import Pool


class Memberships:
    """Which containers belong to which networks."""

    def __init__(
        self, *, book: Book, journal: Journal, actors: Actors, networks: Networks, endpoints: Endpoints,
        processes: Processes, folders: Folders,
    ) -> None:  # fmt: skip
        self._book, self._journal, self._actors = book, journal, actors
        self._networks, self._endpoints, self._processes = networks, endpoints, processes
        self._folders, self._pool = folders, Pool("memberships", 2)
        journal.register("network.connect", self._undo_connect)
        journal.register("network.disconnect", self._finish_disconnect)

    async def connect(self, ref: str, container: str, spec: EndpointSpec) -> None:
        """Give a container a place in a network: at once if it runs, else at its next start."""
        network, id = self._networks.get(ref), self._book.get(container).id
        async with self._actors.turn(f"container/{id}", "connecting to a network"):
            member = self._book.get(id)
            if network.name in member.networks:
                if not _attached(member):
                    return  # as Docker has it: the place stays as it was asked for first
                raise Forbidden(f"endpoint with name {member.name} already exists in network {network.name}")
            check_company(member, network)
            check_endpoint(network, spec)
            wished = EndpointRecord(network_id=network.id, spec=spec)
            if _attached(member):
                await self._join(member, network, wished)
                self._emit("connect", member, network)
            else:
                await self._record(member, {**member.networks, network.name: wished})

    async def _record(self, member: Container, networks: Mapping[str, EndpointRecord]) -> None:
        await self._book.database.commit(self._book.table.put(attrs.evolve(member, networks=networks)))

    async def _join(self, member: Container, network: NetworkRecord, wished: EndpointRecord) -> None:
        try:
            planned = await self._endpoints.plan_more(member, network, wished)
            try:
                await self._attach(member, network.name, planned)
            finally:
                if network.name not in self._book.get(member.id).networks:
                    self._endpoints.release_one(planned)
        finally:
            self._endpoints.entered(member.id)

    async def _attach(self, member: Container, name: str, planned: EndpointRecord) -> None:
        async with self._journal.operation(
            "network.connect", member.id, sync=False, endpoint=to_data(planned)
        ) as operation:
            networks = {**member.networks, name: planned}
            ports = await self._endpoints.join(member, networks, self._processes)
            await self._write_files(member, member.networks, networks)
            joined = attrs.evolve(member, networks=networks, ports=ports)
            await operation.commit(self._book.table.put(joined))

    async def _undo_connect(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        member = self._book.table.get(id)
        if member is not None:
            await self._leave(member, from_data(data["endpoint"], EndpointRecord))
        return ()

    async def _leave(self, member: Container, gone: EndpointRecord) -> tuple[PortMapping, ...]:
        """Make a container be as its record says, which does not have this endpoint; what is published then."""
        ports = await self._endpoints.leave(member, gone, self._processes)
        await self._write_files(member, {**member.networks, "": gone}, member.networks)
        return ports

    async def _write_files(self, member: Container, before: Records, after: Records) -> None:
        asked = (self._endpoints.resolv_conf(member, before), self._endpoints.resolv_conf(member, after))
        if _attached(member):
            await self._pool.run("network.files", lambda: update_files(self._folders, member, before, after, asked))

    async def disconnect(self, ref: str, container: str, force: bool) -> None:
        """Take a container's place in a network away. `force` is for places that a lost container has left: there are none."""
        network = self._networks.get(ref)
        try:
            id = self._book.get(container).id
        except NotFound as error:
            raise NotFound(f"endpoint {container} not found") if force else error from None
        async with self._actors.turn(f"container/{id}", "disconnecting from a network"):
            member = self._book.get(id)
            if _attached(member) and network.spec.driver == "host" and member.host.network_mode == "host":
                raise Invalid(
                    "cannot disconnect container from host network - container must be created in host network mode"
                )
            if network.name not in member.networks:
                the = "" if _attached(member) else "the "
                raise Forbidden(f"container {member.id} is not connected to {the}network {network.name}")
            if _attached(member):
                place = to_data(member.networks[network.name])
                await self._journal.forward("network.disconnect", id, sync=False, network=network.name, endpoint=place)
            else:
                await self._record(member, _without(member, network.name))
        self._emit("disconnect", member, network)

    async def _finish_disconnect(self, id: str, data: Mapping[str, Any]) -> Sequence[Change]:
        member, gone = self._book.table.get(id), from_data(data["endpoint"], EndpointRecord)
        if member is None:
            return ()
        left = attrs.evolve(member, networks=_without(member, data["network"]))
        ports = await self._leave(left, gone)
        self._endpoints.release_one(gone)
        return (self._book.table.put(attrs.evolve(left, ports=ports)),)

    def _emit(self, action: str, member: Container, network: NetworkRecord) -> None:
        self._book.emit_network(action, member, network.name, network.id, network.kind)


def _attached(member: Container) -> bool:
    """Whether it has a process: one that waits for its restart counts as running, and has no interfaces."""
    return member.state.pid != 0


def _without(member: Container, name: str) -> dict[str, EndpointRecord]:
    return {other: place for other, place in member.networks.items() if other != name}
