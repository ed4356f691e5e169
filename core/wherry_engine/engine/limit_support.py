"""Limits that this host's kernel does not know: they are left out, and whoever asked is warned, as with Docker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from glob import glob
from typing import Any

import attrs

from wherry.model.configs import Resources

_SWAP_ACCOUNTING = "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"
_WEIGHTS = {1: ("blkio/blkio.weight",), 2: ("*/io.weight", "*/io.bfq.weight")}
_WEIGHTS_OF_DEVICES = {1: ("blkio/blkio.weight_device",), 2: _WEIGHTS[2]}


@attrs.frozen
class Lacking:
    """What would do nothing here, as changes of the request, each with the warning about it."""

    changes: tuple[tuple[str, Any, str], ...]  # field, its value for "not asked for", warning

    def without(self, given: Resources) -> Resources:
        """The request without it."""
        return attrs.evolve(given, **{field: value for field, value, _ in self.changes})

    def warnings(self) -> list[str]:
        """What its caller should know."""
        return [warning for *_, warning in self.changes]


def lacking(given: Resources, cgroup_version: int) -> Lacking:
    """What this host cannot do of what is asked for."""
    return Lacking(tuple(_lacking(given, cgroup_version)))


def limits_swap(cgroup_version: int) -> bool:
    """Whether memory and swap can be limited together."""
    return cgroup_version == 2 or _exists((_SWAP_ACCOUNTING,))


def _lacking(given: Resources, version: int) -> Iterator[tuple[str, Any, str]]:
    no = "Your kernel does not support"
    unmounted = "or the cgroup is not mounted."
    if given.memory > 0 and given.memory_swap != -1 and not limits_swap(version):
        yield "memory_swap", -1, f"{no} swap limit capabilities {unmounted} Memory limited without swap."
    if version == 2 and given.memory_swappiness not in (None, -1):
        text = f"{no} memory swappiness capabilities {unmounted} Memory swappiness discarded."
        yield "memory_swappiness", None, text
    if version == 2 and given.oom_kill_disable:
        yield "oom_kill_disable", None, f"{no} OomKillDisable. OomKillDisable discarded."
    if given.blkio_weight and not _exists(_below(_WEIGHTS[version])):
        yield "blkio_weight", 0, f"{no} Block I/O weight {unmounted} Weight discarded."
    if given.blkio_weight_device and not _exists(_below(_WEIGHTS_OF_DEVICES[version])):
        yield "blkio_weight_device", (), f"{no} Block I/O weight_device {unmounted} Weight-device discarded."


def _below(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"/sys/fs/cgroup/{name}" for name in names)


@lru_cache(maxsize=8)
def _exists(patterns: tuple[str, ...]) -> bool:
    return any(os.path.exists(pattern) or glob(pattern) for pattern in patterns)
