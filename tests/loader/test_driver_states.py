"""What became of each driver in the engine, as `plugin ls` shows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.loader.conftest import driver

from wherry.errors import WherryError
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.drivers import Drivers, Places
from wherry_engine.loader.report import rows
from wherry_engine.work import Late

if TYPE_CHECKING:
    from tests.loader.conftest import Site

Act = Callable[[Drivers], Awaitable[None]]


def states(root: Path, act: Act) -> dict[str, tuple[str, str]]:
    """State and reason of each storage driver after `act`."""

    async def run() -> dict[str, tuple[str, str]]:
        drivers = Drivers(Places(data_root=root, exec_root=root, instance="t"))
        try:
            await act(drivers)
            found = rows(drivers.states())
        finally:
            drivers.close()
        return {row.name: (row.state, row.reason) for row in found if row.family == "storage"}

    return asyncio.run(run())


async def ask(drivers: Drivers, name: str) -> None:
    with pytest.raises(WherryError):
        await drivers.get(StorageDriver, name)


def test_a_driver_is_not_loaded_before_it_is_asked_for_and_loaded_then(site: Site, tmp_path: Path) -> None:
    for name in ("one", "two"):
        site.install(f"acme-{name}", {name: f"acme_{name}:Driver"}, **{f"acme_{name}": driver()})

    async def act(drivers: Drivers) -> None:
        await drivers.get(StorageDriver, "one")

    found = states(tmp_path, act)
    assert (found["one"], found["two"]) == (("loaded", ""), ("not loaded", ""))


def test_failed_and_unsupported_are_told_apart_and_an_unknown_name_leaves_no_trace(site: Site, tmp_path: Path) -> None:
    refusing = "    def __init__(self, context): raise Unsupported('this kernel has no such file system')\n"
    site.install("acme-cold", {"cold": "acme_cold:Driver"}, acme_cold=driver(extra=refusing))
    site.install("acme-broken", {"broken": "acme_broken:Driver"}, acme_broken="import nosuchmodule\n")

    async def act(drivers: Drivers) -> None:
        for name in ("cold", "broken", "nosuch"):
            await ask(drivers, name)
        assert {name for _, name in drivers.states()} == {"cold", "broken"}

    found = states(tmp_path, act)
    assert found["cold"] == (
        "unsupported",
        "storage driver 'cold' of acme-cold: this kernel has no such file system",
    )
    assert found["broken"][0] == "failed"
    assert "nosuchmodule" in found["broken"][1]


def test_a_driver_is_degraded_for_as_long_as_a_call_of_it_hangs(site: Site, tmp_path: Path) -> None:
    site.install("acme-slow", {"slow": "acme_slow:Driver"}, acme_slow=driver())

    async def act(drivers: Drivers) -> None:
        slow = await drivers.get(StorageDriver, "slow")
        with pytest.raises(Late) as late:
            await drivers.call("test.hang", slow, lambda _: time.sleep(0.3), deadline=0.05)
        state = drivers.states()["storage", "slow"]
        assert (state.state, "did not finish test.hang" in state.reason) == ("degraded", True)
        await late.value.pending
        await asyncio.sleep(0)

    assert states(tmp_path, act)["slow"] == ("loaded", "")
