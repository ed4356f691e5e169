"""Every step of the engine fails once and is killed once: nothing is left, nothing acknowledged is lost.

One engine's data root goes through the whole sweep, in a network namespace of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.life_lab import LIVES
from tests.engine.plain_drivers import install
from tests.engine.sweep import Lab, sweep

from wherry.testing import steps
from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
# Steps that are reached by the named test and fail in none of the sweep's scenarios.
ELSEWHERE = {
    "container.end.thaw": "tests/fire/test_reboot.py",
    "api.listen": "tests/fire/test_failpoints.py",
    # A check repairs what is left behind, and leaves no state that a failed step of it could spoil.
    "check.endpoint.detach": "tests/ledger/test_system_check.py",
    "check.endpoints": "tests/fire/test_failpoints.py",
    "check.look": "tests/fire/test_failpoints.py",
    "check.mend": "tests/ledger/test_system_check.py",
    "check.network.delete": "tests/ledger/test_system_check.py",
    "check.networks": "tests/fire/test_failpoints.py",
    "check.rules": "tests/fire/test_failpoints.py",
    "check.snapshot.remove": "tests/ledger/test_system_check.py",
    "check.snapshots": "tests/fire/test_failpoints.py",
    "check.volumes": "tests/fire/test_failpoints.py",
    "daemon.claim": "tests/fire/test_failpoints.py",
    "daemon.pidfile": "tests/fire/test_failpoints.py",
    "daemon.pidfile.remove": "tests/fire/test_failpoints.py",
    "engine.database.spare": "tests/engine/test_database.py",
    # For drivers that are unlike the built-in ones, whose whole life is lived once.
    "layer.add.mount": "test_drivers_that_are_unlike_the_built_in_ones_serve_a_whole_life",
    "layer.add.unmount": "test_drivers_that_are_unlike_the_built_in_ones_serve_a_whole_life",
    "volume.detach": "test_drivers_that_are_unlike_the_built_in_ones_serve_a_whole_life",
}
FAULTS = (("error", "before"), ("error", "after"), ("kill", "after"))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with sweep() as made:
        yield made


def test_every_scenario_works_unhindered(lab: Lab) -> None:
    for name, outcome in lab.trace.items():
        assert not outcome["faults"], name


def test_a_step_that_fails_leaves_the_state_as_if_never_attempted(lab: Lab) -> None:
    problems: list[str] = []
    by_scenario: dict[str, list[str]] = {}
    for step, scenario in lab.reached().items():
        by_scenario.setdefault(scenario, []).append(step)
    for scenario, names in by_scenario.items():
        found = lab.call("error", scenario, *names)
        problems += [f"{scenario}: {problem}" for problem in found["problems"]]
        lab.back[scenario] = found["back"]
    assert not problems, "\n".join(problems)


def test_a_way_back_that_fails_as_well_is_gone_to_its_end_by_the_next_start(lab: Lab) -> None:
    problems: list[str] = []
    for scenario, pairs in lab.ways_back().items():
        problems += [f"{scenario}: {problem}" for problem in lab.call("again", scenario, *pairs)]
    assert not problems, "\n".join(problems)


def test_a_kill_in_any_step_or_on_any_way_back_leaves_nothing_after_recovery(lab: Lab, host_ledger: HostLedger) -> None:
    problems: list[str] = []
    for step, scenario in lab.reached().items():
        for place in ("before", "after"):
            result = lab.call("kill", scenario, step, place)
            problems += [] if result == "killed" else result
    for scenario, pairs in lab.ways_back().items():
        for pair in pairs:
            result = lab.call("kill", scenario, pair, "before")
            problems += [] if result == "killed" else result
    problems += lab.call("end")
    assert not problems, "\n".join(problems)


def test_an_engine_whose_start_or_end_fails_is_followed_by_one_that_finds_all(
    lab: Lab, host_ledger: HostLedger
) -> None:
    problems: list[str] = []
    for kind, names in LIVES.items():
        for step in names:
            for action, place in FAULTS:
                result = lab.call(kind, step, action, place, program="life_lab")
                problems += [] if result == "killed" else result
    problems += lab.call("end")
    assert not problems, "\n".join(problems)


def test_drivers_that_are_unlike_the_built_in_ones_serve_a_whole_life(lab: Lab, tmp_path: Path) -> None:
    install(tmp_path)
    assert lab.call("plain", str(tmp_path)) == []


def test_every_step_of_the_engine_was_reached(lab: Lab) -> None:
    """Comes last: the others leave word of what they reached. The small processes' steps have tests/process."""
    reached = set((lab.root / "reached").read_text().split())
    declared = {name for name in steps.declared() if not name.startswith(("monitor.", "supervisor.", "helper."))}
    undos = {pair.partition("/")[2] for pairs in lab.ways_back().values() for pair in pairs}
    armed = lab.reached().keys() | undos | {name for names in LIVES.values() for name in names}
    missed = sorted(declared - (armed & reached) - set(ELSEWHERE))
    assert not missed, f"no test reaches {missed} and makes it fail"
    doubled = sorted(armed & set(ELSEWHERE))
    assert not doubled, f"these are armed here: {doubled}"
    stale = sorted(set(ELSEWHERE) - declared)
    assert not stale, f"these steps are not declared any more: {stale}"
