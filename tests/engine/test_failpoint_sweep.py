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
# Steps that need another host or another process than the sweep's: armed, to fail and to kill, in the test that is named.
_DAEMON, _PLAIN = "tests/fire/test_failpoints.py", "test_drivers_that_are_unlike_the_built_in_ones_leave_nothing"
ELSEWHERE = {
    "api.listen": _DAEMON,
    "check.endpoint.detach": _DAEMON,
    "check.endpoints": _DAEMON,
    "check.look": _DAEMON,
    "check.mend": _DAEMON,
    "check.mend.groups": _DAEMON,
    "check.network.delete": _DAEMON,
    "check.networks": _DAEMON,
    "check.rules": _DAEMON,
    "check.snapshot.remove": _DAEMON,
    "check.snapshots": _DAEMON,
    "check.volumes": _DAEMON,
    "container.end.thaw": _DAEMON,
    "daemon.claim": _DAEMON,
    "daemon.pidfile": _DAEMON,
    "daemon.pidfile.remove": _DAEMON,
    "engine.database.spare": "tests/engine/test_database.py",
    "layer.add.mount": _PLAIN,
    "layer.add.unmount": _PLAIN,
    "network.renew": _DAEMON,
    "processes.silent.disown": "tests/process/test_heartbeat.py",
    "processes.silent.kill": _DAEMON,
    "resolver.listen": "tests/plugins/network/test_resolver.py",
    "volume.detach": _PLAIN,
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


def test_drivers_that_are_unlike_the_built_in_ones_leave_nothing(
    lab: Lab, tmp_path: Path, host_ledger: HostLedger
) -> None:
    install(tmp_path)
    problems: list[str] = []
    for step in (step for step, where in ELSEWHERE.items() if where == _PLAIN):
        for action, place in FAULTS:
            result = lab.call("plain", str(tmp_path), f"{step}={action}@{place}")
            problems += [] if result == "killed" else result
    problems += lab.call("plain", str(tmp_path))
    assert not problems, "\n".join(problems)


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
