"""The check of what drivers, processes and the journal know: snapshots, volumes, networks, processes, ports, intents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import attrs

from wherry.model.networks import Endpoint, EndpointState, Network
from wherry.spec.network import NetworkDriver
from wherry.spec.storage import StorageDriver
from wherry.spec.volume import VolumeDriver
from wherry_engine.engine.check_places import RESTART
from wherry_engine.engine.check_records import Records
from wherry_engine.engine.check_view import Fault, View, fault
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.network_care import NetworkCare
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.processes import Processes, ProcessExit
from wherry_engine.engine.runtimes import Runtimes
from wherry_engine.journal.journal import Intent, Journal
from wherry_engine.loader.load import Driver

LOST = "the container's process ended while nobody could see it"


@attrs.frozen(kw_only=True)
class Objects:
    """Asks those who know."""

    drivers: Drivers
    storage: Driver[StorageDriver]
    networks: Networks
    care: NetworkCare
    processes: Processes
    runtimes: Runtimes
    journal: Journal
    records: Records
    on_exit: Callable[[ProcessExit], None]

    async def look(self, view: View) -> list[Fault]:
        """What is wrong with them."""
        return [
            *self._intents(view),
            *await self._snapshots(view),
            *await self._volumes(view),
            *await self._networks(),
            *await self._processes(view),
            *await self._ports(view),
        ]

    def _intents(self, view: View) -> Iterator[Fault]:
        for intent in self.journal.unfinished():
            text = f"{intent.name} of {intent.object} was begun, and neither finished nor undone"
            act = partial(self._finish, intent) if self.journal.knows(intent.name) else None
            mend = "finish or undo it" if act else "the version that recorded it can finish it"
            kind = "container" if intent.object in view.containers else intent.name.partition(".")[0]
            actor = f"{kind}/{intent.object}"
            yield fault("operation", intent.id, text, mend, act, subject=intent.id, actor=actor)

    async def _finish(self, intent: Intent) -> None:
        if any(each.id == intent.id for each in self.journal.unfinished()):  # else someone has, meanwhile
            await self.journal.finish(intent)

    async def _snapshots(self, view: View) -> list[Fault]:
        listed = await self.drivers.call("check.snapshots", self.storage, lambda hook: hook.list_snapshots())
        found = {snapshot.key for snapshot in listed}
        mine = {c.id for c in view.containers.values() if c.storage_driver == self.storage.name}
        faults = []
        for key in found - view.layers - mine:
            if key.startswith("add-"):
                text, mend = "a layer that is not being extracted any more", "remove it"
                act = partial(self._remove_snapshot, key)
                faults.append(fault("snapshot", key, text, mend, act, subject=key))
            else:
                text = "neither a layer nor a container that is recorded; it may be all that is left of someone's data"
                faults.append(fault("snapshot", key, text, "keep it, or remove it by hand", subject=key))
        for name in view.layers - found:
            text, mend = "a layer that images need is missing", "remove these images and load them again"
            faults.append(fault("snapshot", name, text, mend, subject=name))
        for id in mine - found:
            text = f"what container {view.containers[id].name} has written is missing"
            faults.append(fault("snapshot", id, text, "remove the container and make it again", subject=id))
        return faults

    async def _remove_snapshot(self, key: str) -> None:
        await self.drivers.call("check.snapshot.remove", self.storage, lambda hook: hook.remove(key=key))

    async def _volumes(self, view: View) -> list[Fault]:
        faults = []
        for name in self.records.volume_drivers():
            driver = await self.drivers.get(VolumeDriver, name)
            for volume in await self.drivers.call("check.volumes", driver, lambda hook: hook.list_volumes()):
                if volume not in view.volumes:
                    text = f"the driver {name} has data of a volume that is not recorded"
                    mend = f"`wherry volume create --driver {name} {volume}` makes it known again, with its data"
                    faults.append(fault("volume", volume, text, mend, subject=volume))
        for volume, mountpoint in view.volumes.items():
            if mountpoint and not Path(mountpoint).exists():
                text = f"its data in {mountpoint} is missing"
                faults.append(fault("volume", volume, text, "remove the volume and make it again", subject=volume))
        return faults

    # --- networks ---

    async def _networks(self) -> list[Fault]:
        states = await self.records.endpoint_states()
        faults = []
        for name in sorted({network.spec.driver for network in self.networks.list()}):
            driver = await self.drivers.get(NetworkDriver, name)
            known = {network.id for network in self.networks.list() if network.spec.driver == name}
            of_driver = [state for id, state in states if id in known]
            faults += await self._rules(name, states)
            faults += await self._links(driver, known, of_driver)
        return faults

    async def _rules(self, name: str, states: Sequence[tuple[str, EndpointState]]) -> list[Fault]:
        """One mend for all lines of one driver. Nothing is said while anything starts, ends or moves: that is seen half done."""
        quiet = not self.journal.busy
        lines = await self.networks.differences(name, states)
        if not quiet or self.journal.busy or list(await self.records.endpoint_states()) != list(states):
            return []
        act = partial(self.care.renew, name)
        mend = "make bridges and rules anew"
        return [fault("network", f"driver {name}", line, mend, act, subject=name) for line in lines]

    async def _links(
        self, driver: Driver[NetworkDriver], known: set[str], states: Sequence[EndpointState]
    ) -> list[Fault]:
        faults = []
        for id in await self.drivers.call("check.networks", driver, lambda hook: hook.list_networks()):
            if id not in known:
                text = "the host shows a network of ours that is not recorded"
                act = partial(self._delete_network, driver, id)
                faults.append(fault("link", f"of network {id}", text, "remove it", act, subject=id))
        listed = await self.drivers.call("check.endpoints", driver, lambda hook: hook.list_endpoints())
        wanted = {(state.endpoint.network_id, state.endpoint.id) for state in states}
        for network, endpoint in set(listed) - wanted:
            text = f"the host shows an interface of no container that runs, in network {network}"
            act = partial(self._detach, driver, network, endpoint)
            faults.append(fault("link", f"of endpoint {endpoint}", text, "remove it", act, subject=endpoint))
        if listed:  # a driver that shows nothing says nothing
            for state in states:
                if (state.endpoint.network_id, state.endpoint.id) not in listed:
                    text = f"container {state.endpoint.container_id[:12]} has lost its interface {state.endpoint.interface}"
                    subject = state.endpoint.container_id
                    faults.append(fault("link", f"of endpoint {state.endpoint.id}", text, RESTART, subject=subject))
        return faults

    async def _delete_network(self, driver: Driver[NetworkDriver], id: str) -> None:
        network = Network(id=id, name=id, options=driver.parse("OPTIONS", {}))
        await self.drivers.call("check.network.delete", driver, lambda hook: hook.delete_network(network=network))

    async def _detach(self, driver: Driver[NetworkDriver], network_id: str, endpoint_id: str) -> None:
        network = Network(id=network_id, name=network_id, options=driver.parse("OPTIONS", {}))
        endpoint = Endpoint(id=endpoint_id, network_id=network_id, container_id="", interface="")
        await self.drivers.call(
            "check.endpoint.detach", driver, lambda hook: hook.detach(network=network, endpoint=endpoint, netns=None)
        )

    # --- processes and ports ---

    async def _processes(self, view: View) -> list[Fault]:
        known = {info.id: info for info in await self.processes.list()}
        faults = []
        for id in known.keys() - view.running:
            kind, text = ("exit file", "the exit of a container that has ended and is recorded")
            if known[id].exit is None:
                kind, text = "process", f"process {known[id].pid} of a container that does not run, as recorded"
            act = partial(self._delete, view, id)
            faults.append(fault(kind, id, text, "remove it", act, subject=id, actor=f"container/{id}", running=False))
        for id in view.running - known.keys():
            text = f"container {view.containers[id].name} is recorded as running and has no process"
            act = partial(self._record_end, id)
            faults.append(fault("container", id, text, "record its end, with exit code 255", act, subject=id))
        return faults

    async def _delete(self, view: View, id: str) -> None:
        container = view.containers.get(id)
        runtime = await self.runtimes.remover(container.runtime if container else "")
        await self.processes.delete(id, runtime)

    async def _record_end(self, id: str) -> None:
        if id not in {info.id for info in await self.processes.list()}:  # else it was started again meanwhile
            self.on_exit(ProcessExit(id, 255, time.time_ns(), False, LOST))

    async def _ports(self, view: View) -> list[Fault]:
        reserved = await self.processes.ports()
        faults = []
        for owner in reserved.keys() - view.running:
            ports = ", ".join(f"{port.host_address}:{port.host_port}/{port.protocol}" for port in reserved[owner])
            text = f"held for {owner[:12]}, which does not run"
            act = partial(self.processes.release_ports, owner)
            faults.append(
                fault("port", ports, text, "let it go", act, subject=owner, actor=f"container/{owner}", running=False)
            )
        for id in view.running:
            missing = [port for port in view.containers[id].ports if port not in reserved.get(id, ())]
            if missing:
                ports = ", ".join(f"{port.host_address}:{port.host_port}/{port.protocol}" for port in missing)
                text = f"published by container {view.containers[id].name} and not held: another program could take it"
                act = partial(self.processes.reserve_ports, id, missing)
                faults.append(
                    fault("port", ports, text, "hold it again", act, subject=id, actor=f"container/{id}", running=True)
                )
        return faults
