"""The drivers that this engine uses: loaded on first use, called in pools of their own, failures told by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from wherry.errors import Failed, WherryError
from wherry.linux.steps import step
from wherry.spec.base import Context, DriverSpec
from wherry.spec.observer import DriverCall
from wherry_engine.loader.load import Driver, load_driver
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
        self.failures: dict[tuple[str, str], str] = {}

    async def get(self, spec: type[S], name: str) -> Driver[S]:
        """The driver, loaded if need be. Raises `DriverError` or `Unsupported`; the reason is kept for reports."""
        key = (spec.FAMILY, name)
        if key not in self._loaded:
            pool = self._pools.setdefault(key, Pool(f"{spec.FAMILY} driver {name}"))
            try:
                driver = await pool.run("driver.load", lambda: self._load(spec, name))
            except WherryError as error:
                self.failures[key] = error.text
                raise
            self.failures.pop(key, None)
            self._loaded.setdefault(key, driver)
        return self._loaded[key]

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
        label = f"{driver.spec.FAMILY} driver {driver.name}"
        try:
            return await self._pools[driver.spec.FAMILY, driver.name].run(
                where, lambda: function(driver.hook), deadline
            )
        except (Late, WherryError):
            raise
        except OSError as error:
            raise Failed(f"{where}: {label}: {error}") from error
        except Exception as error:
            log.exception("%s has a bug", label)
            raise Failed(f"{where}: {label} failed unexpectedly: {type(error).__name__}: {error}") from error

    def state(self, family: str, name: str) -> tuple[str, str]:
        """(state, reason) for reports: loaded, failed, or not loaded."""
        if (family, name) in self._loaded:
            return "loaded", ""
        if (family, name) in self.failures:
            return "failed", self.failures[family, name]
        return "not loaded", ""

    def close(self) -> None:
        """End the pools."""
        with step("driver.close"):
            for pool in self._pools.values():
                pool.close()
