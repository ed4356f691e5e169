"""Whether a container is well: what is asked how often, and what the answers come to. Pure; the rules are Docker's.

A container begins as `starting`. A success makes it `healthy`; so many failures in a row as its check has retries make it
`unhealthy`, but those of the start period do not count before the first success.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from wherry.model.configs import Config, HealthConfig
from wherry.model.containers import Health, HealthResult

SECOND = 1_000_000_000  # ns
INTERVAL, TIMEOUT, START_INTERVAL, RETRIES = 30 * SECOND, 30 * SECOND, 5 * SECOND, 3
SHORTEST = 1_000_000  # ns
KEPT = 5  # results
OUTPUT = 4096  # bytes of a result
SHELL = ("/bin/sh", "-c")


@attrs.frozen(kw_only=True)
class Check:
    """What is run, and when. Times in ns."""

    command: tuple[str, ...]
    interval: int = INTERVAL
    timeout: int = TIMEOUT
    start_period: int = 0
    start_interval: int = START_INTERVAL
    retries: int = RETRIES


def check_of(config: Config) -> Check | None:
    """The container's check; None if it has none."""
    given = config.healthcheck
    kind, *words = (given.test if given else None) or ("NONE",)
    if given is None or kind not in ("CMD", "CMD-SHELL") or not words:
        return None
    return Check(
        command=(*(config.shell or SHELL), *words) if kind == "CMD-SHELL" else tuple(words),
        interval=given.interval or INTERVAL,
        timeout=given.timeout or TIMEOUT,
        start_period=given.start_period,
        start_interval=given.start_interval or START_INTERVAL,
        retries=given.retries or RETRIES,
    )


def begun(config: Config, before: Health | None) -> Health | None:
    """The health of a container that has just been started; earlier results stay."""
    return Health(log=before.log if before else ()) if check_of(config) else None


def halted(health: Health | None) -> Health | None:
    """Of one that is not asked: it has ended or is paused. Docker calls it unhealthy."""
    return attrs.evolve(health, status="unhealthy") if health else None


def judged(health: Health, result: HealthResult, check: Check, started_ns: int) -> Health:
    """The health after this result."""
    log = (*health.log, result)[-KEPT:]
    if result.exit_code == 0:
        return Health(status="healthy", log=log)
    if health.status == "starting" and result.start_ns - started_ns < check.start_period:
        return attrs.evolve(health, log=log)
    streak = health.failing_streak + 1
    return Health(status="unhealthy" if streak >= check.retries else health.status, failing_streak=streak, log=log)


def pause_before(health: Health, check: Check, started_ns: int, now_ns: int) -> int:
    """The ns from now to the next probe."""
    early = now_ns - started_ns < check.start_period and health.status == "starting"
    return check.start_interval if early else check.interval


def shown_output(output: bytes) -> str:
    """The output as it is kept."""
    text = output[:OUTPUT].decode(errors="replace")
    return text + "..." if len(output) > OUTPUT else text


def faults(given: HealthConfig | None) -> Iterator[str]:
    """What is wrong with a check, in Docker's words."""
    if given is None:
        return
    for name, value in (
        ("Interval", given.interval),
        ("Timeout", given.timeout),
        ("StartPeriod", given.start_period),
        ("StartInterval", given.start_interval),
    ):
        if value and value < SHORTEST:
            yield f"{name} in Healthcheck cannot be less than 1ms"
    if given.retries < 0:
        yield "Retries in Healthcheck cannot be negative"
