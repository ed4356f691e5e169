"""Limits that the kernel may lack."""

from __future__ import annotations

from wherry.model.configs import Resources
from wherry_engine.engine.limit_support import lacking


def test_what_version_2_of_cgroups_has_not_is_left_out_with_a_warning() -> None:
    given = Resources(memory=64 << 20, memory_swappiness=50, oom_kill_disable=True, nano_cpus=10**9)
    found = lacking(given, 2)
    left = found.without(given)
    assert (left.memory, left.nano_cpus) == (given.memory, given.nano_cpus)
    assert (left.memory_swappiness, left.oom_kill_disable) == (None, None)
    assert found.warnings() == [
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted."
        " Memory swappiness discarded.",
        "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    ]


def test_what_is_not_asked_for_is_not_spoken_of() -> None:
    for version in (1, 2):
        given = Resources(memory_swappiness=-1)
        assert lacking(given, version).warnings() == []
        assert lacking(given, version).without(given) == given
