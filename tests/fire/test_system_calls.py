"""What containers may call is what they may call under dockerd with the same profile: every number, three ways, run and exec."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.fire import system_calls

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

DIFFERENCES = Path(__file__).with_name("system_call_differences.toml")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("calls") / "found.json"
    system_calls.start(out)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def permitted() -> dict[str, set[tuple[str, str]]]:
    """(way, number) that may differ, by the line that permits them."""
    result = {}
    for way, reasons in tomllib.loads(DIFFERENCES.read_text()).items():
        for numbers in reasons:
            first, _, last = numbers.partition("-")
            result[f"{way} {numbers}"] = {(way, str(number)) for number in range(int(first), int(last or first) + 1)}
    return result


def differences(ours: dict[str, dict[str, str]], theirs: dict[str, dict[str, str]]) -> set[tuple[str, str]]:
    assert ours.keys() == theirs.keys()
    return {
        (way.split()[0], number)
        for way, calls in ours.items()
        for number, verdict in calls.items()
        if verdict != theirs[way][number]
    }


@pytest.mark.parametrize("place", ["run", "exec"])
@pytest.mark.parametrize("engine", ["wherry crun", "wherry runc"])
def test_calls_are_refused_and_let_through_as_by_dockerd(found: dict[str, Any], engine: str, place: str) -> None:
    assert differences(found[engine][place], found["dockerd"][place]) <= set().union(*permitted().values())


def test_every_permitted_difference_is_there_and_none_is_native(found: dict[str, Any]) -> None:
    there = differences(found["wherry crun"]["run"], found["dockerd"]["run"])
    for line, calls in permitted().items():
        assert calls & there, line
        assert not line.startswith("x86-64"), line


def test_an_exec_may_call_what_its_container_may(found: dict[str, Any]) -> None:
    for engine, places in found.items():
        assert differences(places["run"], places["exec"]) == set(), engine


def test_without_a_profile_only_calls_newer_than_the_hosts_libseccomp_are_let_through_in_addition(
    found: dict[str, Any],
) -> None:
    more = differences(found["wherry default"]["run"], found["wherry crun"]["run"])
    assert {int(number) for _, number in more} <= set(range(system_calls.NEWEST + 1, 512))


def test_what_is_dangerous_is_refused(found: dict[str, Any]) -> None:
    numbers = {"mount": 165, "keyctl": 250, "unshare": 272, "userfaultfd": 323, "bpf": 321, "io_uring_setup": 425}
    for engine, places in found.items():
        for place, ways in places.items():
            for name, number in numbers.items():
                assert ways["x86-64 -1"][str(number)] == "refused", (engine, place, name)
            assert ways["x86-64 -1"]["1024"] == "unknown", (engine, place)
