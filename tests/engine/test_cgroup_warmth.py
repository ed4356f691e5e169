"""The lock for cgroup changes is kept warm after a sign of a client, and only then."""

from __future__ import annotations

import asyncio
import time

import pytest

from wherry_engine.engine import cgroup_warmth
from wherry_engine.engine.cgroup_warmth import CgroupWarmth


@pytest.fixture
def touches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(cgroup_warmth, "cgroup_touch", lambda: lambda: taken.append(time.monotonic()))
    monkeypatch.setattr(cgroup_warmth, "KEPT", 0.1)
    return taken


def test_it_is_warm_when_the_call_returns_and_kept_so_for_a_while(touches: list[float]) -> None:
    async def body() -> None:
        warmth = CgroupWarmth()
        await asyncio.gather(warmth.renew(), warmth.renew())
        assert len(touches) == 1
        await asyncio.sleep(0.3)
        kept = len(touches)
        assert kept > 3
        await asyncio.sleep(0.1)
        assert len(touches) == kept  # nobody came: it cools
        await warmth.renew()
        assert len(touches) > kept
        await warmth.stop()

    asyncio.run(body())
    assert touches[-1] - touches[0] < 5


def test_stopping_ends_it_at_once(touches: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_warmth, "KEPT", 60.0)

    async def body() -> None:
        warmth = CgroupWarmth()
        await warmth.renew()
        await warmth.stop()
        count = len(touches)
        await asyncio.sleep(0.05)
        assert len(touches) == count

    asyncio.run(body())


def test_a_host_without_cgroups_is_told_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise FileNotFoundError("no cgroup file system is mounted")

    async def body() -> None:
        warmth = CgroupWarmth()
        monkeypatch.setattr(cgroup_warmth, "cgroup_touch", nothing)
        with pytest.raises(FileNotFoundError):
            await warmth.renew()
        monkeypatch.setattr(cgroup_warmth, "cgroup_touch", lambda: lambda: None)
        await warmth.renew()
        await warmth.stop()

    asyncio.run(body())
