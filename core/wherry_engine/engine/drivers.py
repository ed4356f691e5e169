"""The drivers that this engine uses: loaded on first use, called in pools of their own, failures told by name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from wherry.errors import Failed, Unsupported, WherryError
from wherry.linux.steps import step
from wherry.spec.base import Context, DriverSpec
from wherry.spec.observer import DriverCall
from wherry_engine.loader.catalog import UnknownDriver
from wherry_engine.loader.load import Driver, load_driver
from wherry_engine.loader.report import DEGRADED, FAILED, LOADED, UNSUPPORTED, DriverState
from wherry_engine.work import DEADLINE, Late, Pool

S = TypeVar("S", bound=DriverSpec)
T = TypeVar("T")

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Places:
    """Where drivers keep things, and what the configuration says to and about them."""

    data_root: Path
    exec_root: Path
    instance: str
    configs: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # by "family/name"
    preferred: Mapping[str, str] = attrs.field(factory=dict)  # distribution by "family/name"
    observer: Callable[[DriverCall], None] | None = None


class Drivers:
    """Drivers by family and name."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._loaded: dict[tuple[str, str], Driver[Any]] = {}
        self._pools: dict[tuple[str, str], Pool] = {}
        self._loading: dict[tuple[str, str], asyncio.Lock] = {}
        self._failures: dict[tuple[str, str], DriverState] = {}
        self._late: dict[
            tuple[str, str], dict[asyncio.Future[Any], str]
        ] = {}  # calls past their deadline, with their text

    async def get(self, spec: type[S], name: str) -> Driver[S]:
        """The driver, loaded if need be. Raises `DriverError` or `Unsupported`; the reason is kept for reports."""
        key = (spec.FAMILY, name)
        if key not in self._loaded:
            async with self._loading.setdefault(key, asyncio.Lock()):  # two instances would prepare one root at once
                if key not in self._loaded:
                    await self._add(spec, name)
        return self._loaded[key]

    async def _add(self, spec: type[S], name: str) -> None:
        key = (spec.FAMILY, name)
        pool = self._pools.setdefault(key, Pool(f"{spec.FAMILY} driver {name}"))
        try:
            self._loaded[key] = await pool.run("driver.load", lambda: self._load(spec, name))
        except UnknownDriver:
            raise
        except WherryError as error:
            state = UNSUPPORTED if isinstance(error, Unsupported) else FAILED
            self._failures[key] = DriverState(state, error.text)
            raise
        self._failures.pop(key, None)

    def _load(self, spec: type[S], name: str) -> Driver[S]:
        places, label = self._places, f"{spec.FAMILY}/{name}"

        def place(config: Any) -> Context:
            root, run_root = (at / spec.FAMILY / name for at in (places.data_root, places.exec_root))
            for folder in (root, run_root):
                folder.mkdir(parents=True, exist_ok=True, mode=0o710)
            return Context(root, run_root, places.instance, config)

        given, preferred = places.configs.get(label, {}), places.preferred.get(label)
        return load_driver(spec, name, place, given, observer=places.observer, preferred=preferred)

    async def call(self, where: str, driver: Driver[S], function: Callable[[S], T], deadline: float = DEADLINE) -> T:
        """`function(driver.hook)` in the driver's pool, as step `where`. Anything it raises names step and driver."""
        key, label = (driver.spec.FAMILY, driver.name), f"{driver.spec.FAMILY} driver {driver.name}"
        try:
            return await self._pools[key].run(where, lambda: function(driver.hook), deadline)
        except Late as late:
            self._late.setdefault(key, {})[late.pending] = late.text
            late.pending.add_done_callback(self._late[key].pop)
            raise
        except WherryError:
            raise
        except OSError as error:
            raise Failed(f"{where}: {label}: {error}") from error
        except Exception as error:
            log.exception("%s has a bug", label)
            raise Failed(f"{where}: {label} failed unexpectedly: {type(error).__name__}: {error}") from error

    def states(self) -> dict[tuple[str, str], DriverState]:
        """What is to be said of each driver that was ever asked for, by family and name."""
        found = dict(self._failures)
        for key in self._loaded:
            late = list(self._late.get(key, {}).values())
            found[key] = DriverState(DEGRADED, "; ".join(late)) if late else DriverState(LOADED)
        return found

    def close(self) -> None:
        """End the pools."""
        with step("driver.close"):
            for pool in self._pools.values():
                pool.close()
