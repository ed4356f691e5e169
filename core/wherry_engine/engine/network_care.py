"""Networks kept as they should be while others change this host: dockerd, firewalld, an administrator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from wherry.errors import WherryError
from wherry.model.containers import Container
from wherry.spec.network import NetworkDriver
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.networks import Networks
from wherry_engine.loader.load import Driver

SETTLE = 0.1  # s that a burst of changes gets before it is looked at: a promise of mending within 1 s stands above it
RETRY = 1.0  # s until a check that failed is made again
ROUND = 60.0  # s between checks of what tells of no change: iptables' legacy tables

log = logging.getLogger(__name__)


class NetworkCare:
    """Has each driver look after what it made when the host has changed, and keeps what it says."""

    def __init__(
        self, *, drivers: Drivers, networks: Networks, endpoints: Endpoints, book: Book, actors: Actors
    ) -> None:
        self._drivers, self._networks, self._endpoints = drivers, networks, endpoints
        self._book, self._actors = book, actors
        self._tasks: list[asyncio.Task[None]] = []
        self._found: dict[str, Sequence[str]] = {}
        self._failures: dict[str, str] = {}  # why the last check failed, by driver

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps networks from working, with what would mend it."""
        return tuple(sentence for found in self._found.values() for sentence in found)

    async def start(self) -> None:
        """Look after every driver that can be, from now on; all have been checked once on return."""
        for name in sorted({network.spec.driver for network in self._networks.table}):
            driver = await self._drivers.get(NetworkDriver, name)
            if driver.has("check"):
                watched = await self._drivers.call("network.watch", driver, lambda hook: hook.watch())
                await self._checked(driver)
                self._tasks.append(asyncio.create_task(self._care(driver, watched)))

    async def stop(self) -> None:
        """Leave the host to others; what is being mended is mended first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _care(self, driver: Driver[NetworkDriver], watched: int) -> None:
        while True:
            while not await self._checked(driver):
                await asyncio.sleep(RETRY)
            await _readable(watched, ROUND)
            await asyncio.sleep(SETTLE)

    async def _checked(self, driver: Driver[NetworkDriver]) -> bool:
        try:
            await self._check(driver)
        except WherryError as error:
            if self._failures.get(driver.name) != error.text:
                log.warning("the networks of the %s driver could not be checked: %s", driver.name, error.text)
            self._failures[driver.name] = error.text
            return False
        self._failures.pop(driver.name, None)
        return True

    async def _check(self, driver: Driver[NetworkDriver]) -> None:
        found = await self._drivers.call("network.check", driver, lambda hook: hook.check())
        for sentence in found:
            if sentence not in self._found.get(driver.name, ()):
                log.warning("%s", sentence)
        self._found[driver.name] = tuple(found)
        shown = set(await self._drivers.call("network.survey", driver, lambda hook: hook.list_endpoints()))
        for container in self._book.list():
            if container.state.pid and self._places(container, driver.name) - shown:
                await self._mend(container.id)

    async def renew(self, name: str) -> None:
        """Ask for all of a driver's networks and running endpoints again, each in its object's turn, so that no start and no
        end is crossed; then let the driver look at the host.
        """
        driver = await self._drivers.get(NetworkDriver, name)
        for id in [network.id for network in self._networks.table if network.spec.driver == name]:
            async with self._actors.turn(f"network/{id}", "repair"):
                await self._networks.renew(id)
        for container in self._book.list():
            if container.state.pid and self._places(container, name):
                await self._renew_container(container.id)
        if driver.has("check"):
            await self._check(driver)

    async def _renew_container(self, id: str) -> None:
        async with self._actors.turn(f"container/{id}", "repair"):
            container = self._book.table.get(id)
            if container is not None and container.state.pid:
                await self._endpoints.renew(container)

    def _places(self, container: Container, driver: str) -> set[tuple[str, str]]:
        """(network id, endpoint id) of what this driver made for the container."""
        places = ((self._networks.table.get(place.network_id), place) for place in container.networks.values())
        return {(n.id, p.endpoint_id) for n, p in places if n is not None and n.spec.driver == driver and p.endpoint_id}

    async def _mend(self, id: str) -> None:
        async with self._actors.turn(f"container/{id}", "mending its networks"):
            container = self._book.table.get(id)
            if container is not None and container.state.pid:
                log.warning("container %s has lost a network interface; it is made again", container.name)
                await self._endpoints.rewire(container, container.networks)


async def _readable(number: int, patience: float) -> None:
    """Return when the descriptor is readable, or after so many seconds."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(number, readable.set)
    try:
        async with asyncio.timeout(patience):
            await readable.wait()
    except TimeoutError:
        return
    finally:
        loop.remove_reader(number)
