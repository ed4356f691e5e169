"""What probes come to: Docker's rules of health, without any process."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from wherry.model.configs import Config, HealthConfig
from wherry.model.containers import Health, HealthResult
from wherry_engine.engine.changes import apply_changes
from wherry_engine.engine.health import (
    INTERVAL,
    KEPT,
    SECOND,
    START_INTERVAL,
    TIMEOUT,
    Check,
    begun,
    check_of,
    faults,
    halted,
    judged,
    pause_before,
    shown_output,
)

CHECK = Check(command=("true",), retries=3)


def result(code: int, at: int = 0) -> HealthResult:
    return HealthResult(start_ns=at * SECOND, end_ns=at * SECOND, exit_code=code, output="")


def after(codes: Sequence[int], check: Check = CHECK, health: Health | None = None) -> list[tuple[str, int]]:
    """(status, streak) after each of these results, a second apart from the start on."""
    now = health or Health()
    found: list[tuple[str, int]] = []
    for at, code in enumerate(codes):
        now = judged(now, result(code, at), check, 0)
        found.append((now.status, now.failing_streak))
    return found


def test_a_success_heals_and_failures_in_a_row_make_unhealthy() -> None:
    assert after([1, 1, 0, 1, 1, -1, 127, 0]) == [
        ("starting", 1), ("starting", 2), ("healthy", 0), ("healthy", 1), ("healthy", 2), ("unhealthy", 3),
        ("unhealthy", 4), ("healthy", 0),
    ]  # fmt: skip


def test_failures_of_the_start_period_do_not_count_before_the_first_success() -> None:
    check = attrs.evolve(CHECK, start_period=3 * SECOND, retries=2)
    assert after([1, 1, 1, 1, 1], check) == [("starting", 0)] * 3 + [("starting", 1), ("unhealthy", 2)]
    assert after([0, 1, 1], check) == [("healthy", 0), ("healthy", 1), ("unhealthy", 2)]


def test_the_latest_results_are_kept_also_over_a_restart() -> None:
    health = Health()
    for at in range(KEPT + 2):
        health = judged(health, result(0, at), CHECK, 0)
    assert [each.start_ns // SECOND for each in health.log] == [2, 3, 4, 5, 6]
    config = Config(healthcheck=HealthConfig(test=("CMD", "true")))
    assert begun(config, halted(health)) == Health(log=health.log)
    assert begun(Config(), health) is None


def test_what_is_not_asked_is_unhealthy() -> None:
    assert halted(Health(status="healthy", failing_streak=1)) == Health(status="unhealthy", failing_streak=1)
    assert halted(None) is None


def test_probes_come_more_often_in_the_start_period_until_the_first_success() -> None:
    check = attrs.evolve(CHECK, start_period=10 * SECOND)
    starting, healthy = Health(), Health(status="healthy")
    assert pause_before(starting, check, 0, 9 * SECOND) == START_INTERVAL
    assert pause_before(starting, check, 0, 10 * SECOND) == INTERVAL
    assert pause_before(healthy, check, 0, 1) == INTERVAL


@pytest.mark.parametrize(
    ("given", "command"),
    [
        (None, None),
        (HealthConfig(), None),
        (HealthConfig(test=()), None),
        (HealthConfig(test=("NONE",)), None),
        (HealthConfig(test=("CMD",)), None),
        (HealthConfig(test=("ODD", "x")), None),
        (HealthConfig(test=("CMD", "a", "b")), ("a", "b")),
        (HealthConfig(test=("CMD-SHELL", "a b")), ("/bin/sh", "-c", "a b")),
    ],
)
def test_a_check_is_a_command_or_one_for_the_shell(given: HealthConfig | None, command: tuple[str, ...] | None) -> None:
    found = check_of(Config(healthcheck=given))
    assert (found.command if found else None) == command
    if found:
        assert (found.interval, found.timeout, found.start_period, found.retries) == (INTERVAL, TIMEOUT, 0, 3)


def test_the_shell_is_the_images() -> None:
    found = check_of(Config(healthcheck=HealthConfig(test=("CMD-SHELL", "x")), shell=("/bin/ash", "-ec")))
    assert found
    assert found.command == ("/bin/ash", "-ec", "x")


def test_long_output_is_cut() -> None:
    assert shown_output(b"a" * 4096) == "a" * 4096
    assert shown_output(b"a" * 4097) == "a" * 4096 + "..."


def test_times_below_a_millisecond_and_negative_retries_are_refused() -> None:
    given = HealthConfig(interval=999_999, timeout=-1, start_period=1, start_interval=10, retries=-1)
    assert len(list(faults(given))) == 5
    assert next(faults(given)) == "Interval in Healthcheck cannot be less than 1ms"
    assert not list(faults(HealthConfig(interval=1_000_000)))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("HEALTHCHECK NONE", {"Test": ["NONE"]}),
        ("healthcheck CMD a b", {"Test": ["CMD-SHELL", "a b"]}),
        (
            'HEALTHCHECK --interval=1m30s  --retries=5 --start-period=2s CMD ["a", "b"]',
            {"Test": ["CMD", "a", "b"], "Interval": 90 * SECOND, "Retries": 5, "StartPeriod": 2 * SECOND},
        ),
    ],
)
def test_an_image_gets_a_check_by_a_line_of_a_dockerfile(line: str, found: object) -> None:
    assert apply_changes({}, [line])["Healthcheck"] == found
