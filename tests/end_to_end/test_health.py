"""Health checks on a real engine: states, events, what pauses and kills do to them, and who may say what is run."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.end_to_end.daemon_lab import Lab, lab
from tests.end_to_end.test_tls import CLIENTS

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]
OFTEN = ("--health-interval", "200ms", "--health-retries", "2", "--health-timeout", "5s")
SLEEP = ("busybox", "sleep", "1000")


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    ledger = HostLedger()
    with lab({}) as made:
        yield made
    if lines := ledger.settled():
        pytest.fail("the engine left the host changed:\n  " + "\n  ".join(lines), pytrace=False)


def health(world: Lab, name: str) -> Any:
    return world.shows("inspect", name)["State"].get("Health")


def until(world: Lab, name: str, status: str, seconds: float = 10.0) -> Any:
    """Its health, once it has this status."""
    end = time.monotonic() + seconds
    while (found := health(world, name))["Status"] != status:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def events(world: Lab, name: str) -> list[str]:
    now = f"{time.time():.6f}"
    words = ("--filter", f"container={name}", "--filter", "event=health_status", "--format", "{{.Action}}")
    return world.docker("events", "--since", "10m", "--until", now, *words).splitlines()


@contextmanager
def removed(world: Lab, name: str) -> Iterator[None]:
    try:
        yield
    finally:
        world.docker("rm", "-f", name)


def test_a_container_starts_heals_and_sickens_and_each_change_is_told_once(world: Lab) -> None:
    with removed(world, "web"):
        world.docker("run", "-d", "--name", "web", "--health-cmd", "echo asked; test -e /ok", *OFTEN, *SLEEP)
        first = health(world, "web")
        assert (first["Status"], first["FailingStreak"]) == ("starting", 0)
        assert world.docker("ps", "--format", "{{.Status}}").endswith("(health: starting)")
        world.docker("exec", "web", "touch", "/ok")
        found = until(world, "web", "healthy")
        assert (found["Log"][-1]["ExitCode"], found["Log"][-1]["Output"]) == (0, "asked\n")
        assert world.docker("ps", "--filter", "health=healthy", "--format", "{{.Status}}").endswith("(healthy)")
        world.docker("exec", "web", "rm", "/ok")
        found = until(world, "web", "unhealthy")
        assert found["FailingStreak"] >= 2
        assert len(found["Log"]) <= 5
        assert world.docker("ps", "--filter", "health=unhealthy", "--format", "{{.Status}}").endswith("(unhealthy)")
        assert world.docker("ps", "-q", "--filter", "health=none") == ""
        time.sleep(0.5)
        told = events(world, "web")
        assert told[-2:] == ["health_status: healthy", "health_status: unhealthy"]
        assert len(told) <= 4  # the first probes may come before the file


def test_a_pause_stops_the_probes_and_an_end_too(world: Lab) -> None:
    with removed(world, "web"):
        world.docker("run", "-d", "--name", "web", "--health-cmd", "true", *OFTEN, *SLEEP)
        until(world, "web", "healthy")
        world.docker("pause", "web")
        paused = health(world, "web")
        assert paused["Status"] == "unhealthy"  # as with Docker
        time.sleep(0.6)
        assert health(world, "web") == paused
        world.docker("unpause", "web")
        until(world, "web", "healthy")
        world.docker("commit", "web", "made")
        until(world, "web", "healthy")
        world.docker("stop", "-t", "0", "web")
        ended = health(world, "web")
        assert ended["Status"] == "unhealthy"
        world.docker("start", "web")
        again = health(world, "web")
        assert (again["Status"], again["Log"][: len(ended["Log"])]) == ("starting", ended["Log"])
        until(world, "web", "healthy")


def test_a_probe_that_takes_too_long_or_cannot_begin_has_failed(world: Lab) -> None:
    words = ("--health-interval", "200ms", "--health-retries", "1")
    with removed(world, "slow"):
        world.docker(
            "run", "-d", "--name", "slow", "--health-cmd", "echo so far; sleep 100", "--health-timeout", "500ms", *words, *SLEEP
        )  # fmt: skip
        (found, *_) = until(world, "slow", "unhealthy")["Log"]
        assert (found["ExitCode"], found["Output"]) == (-1, "Health check exceeded timeout (500ms): so far\n")
        late = time.monotonic() + 5
        while (
            int(world.docker("exec", "slow", "sh", "-c", "ps | grep -c '[s]o far' || true")) > 1
        ):  # the latest may run
            assert time.monotonic() < late
    with removed(world, "lost"):
        body = {"Test": ["CMD", "/nosuch"], "Interval": 200_000_000, "Retries": 1}
        world.create("lost", body)
        (found, *_) = until(world, "lost", "unhealthy")["Log"]
        assert found["ExitCode"] == -1
        assert "no such file or directory" in found["Output"]


# Each leaves behind, when it is over its time, what its own end does not end.
FORKING = (
    "sleep 7771 & sleep 7771",
    "sleep 7772 & exit 0",
    "(setsid sleep 7773 &); sleep 7773",
    "setsid sleep 7774 >/dev/null 2>&1 & sleep 7774 >/dev/null 2>&1",
)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("probe", FORKING)
def test_nothing_of_a_probe_that_took_too_long_is_left(world: Lab, probe: str, runtime: str) -> None:
    words = (
        "--health-interval",
        "1h",
        "--health-start-interval",
        "1ms",
        "--health-retries",
        "1",
        "--health-timeout",
        "700ms",
    )
    with removed(world, "forking"):
        world.docker(
            "run", "-d", "--name", "forking", "--runtime", runtime, "--stop-signal", "KILL", *words, "--health-cmd", probe,
            "--health-start-period", "1ms", "busybox", "sh", "-c", "sleep 1000 & sleep 1000",
        )  # fmt: skip
        until(world, "forking", "unhealthy")
        kept = [
            line.partition(" ")[2].strip() for line in world.docker("top", "forking", "-o", "pid,args").splitlines()
        ]
        assert kept[1:] == ["sleep 1000", "sleep 1000"]


def test_health_survives_the_kill_of_the_engine(world: Lab) -> None:
    with removed(world, "web"), removed(world, "hung"):
        world.docker("run", "-d", "--name", "web", "--health-cmd", "test -e /ok", *OFTEN, *SLEEP)
        world.docker("run", "-d", "--name", "hung", "--health-cmd", "sleep 777", "--health-interval", "200ms", *SLEEP)
        world.docker("exec", "web", "touch", "/ok")
        before = until(world, "web", "healthy")
        world.engine.kill()
        world.start({})
        after = health(world, "web")
        assert after["Status"] == "healthy"
        assert {each["Start"] for each in before["Log"]} & {each["Start"] for each in after["Log"]}
        world.docker("exec", "web", "rm", "/ok")
        until(world, "web", "unhealthy")
        assert events(world, "web") == ["health_status: unhealthy"]  # what was so before is told by nobody again
        assert world.docker("exec", "hung", "sh", "-c", "ps | grep -c 'sleep [7]77'") in (
            "0",
            "1",
        )  # not the earlier one too


def test_an_image_says_what_is_run_and_a_caller_may_say_otherwise(world: Lab) -> None:
    with removed(world, "base"), removed(world, "own"), removed(world, "none"), removed(world, "short"):
        world.docker("create", "--name", "base", "busybox")
        world.docker("commit", "-c", "HEALTHCHECK --interval=200ms --retries=1 CMD echo mine", "base", "checked")
        world.docker("run", "-d", "--name", "own", "checked", "sleep", "1000")
        assert until(world, "own", "healthy")["Log"][0]["Output"] == "mine\n"
        world.docker("run", "-d", "--name", "none", "--no-healthcheck", "checked", "sleep", "1000")
        assert health(world, "none") is None
        assert world.docker("ps", "--filter", "health=none", "--format", "{{.Names}}") == "none"
        world.docker("run", "-d", "--name", "short", "--health-cmd", "false", "checked", "sleep", "1000")
        config = world.shows("inspect", "short")["Config"]["Healthcheck"]
        assert config == {"Test": ["CMD-SHELL", "false"], "Interval": 200_000_000, "Retries": 1}
        until(world, "short", "unhealthy")
    world.docker("rmi", "checked")


def test_the_start_period_has_an_interval_of_its_own_and_forgives(world: Lab) -> None:
    with removed(world, "web"):
        world.docker(
            "run", "-d", "--name", "web", "--health-cmd", "test -e /ok", "--health-interval", "1h", "--health-retries", "1",
            "--health-start-period", "1h", "--health-start-interval", "100ms", *SLEEP,
        )  # fmt: skip
        end = time.monotonic() + 10
        while len(health(world, "web")["Log"]) < 3:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert (health(world, "web")["Status"], health(world, "web")["FailingStreak"]) == ("starting", 0)
        world.docker("exec", "web", "touch", "/ok")
        until(world, "web", "healthy")


def test_wherry_asks_and_shows_it_as_docker_does(world: Lab) -> None:
    def wherry(*words: str) -> str:
        command = [CLIENTS["wherry"], "-H", world.where.host, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    with removed(world, "web"), removed(world, "none"):
        wherry("run", "-d", "--name", "web", "--health-cmd", "true", *OFTEN, *SLEEP)
        wherry("run", "-d", "--name", "none", *SLEEP)
        until(world, "web", "healthy")
        assert wherry("ps", "--filter", "health=healthy", "--format", "{{.Status}}").endswith("(healthy)")
        assert wherry("inspect", "-f", "{{.State.Health.Status}}", "web") == "healthy"
        assert wherry("ps", "--filter", "health=none", "--format", "{{.Names}}") == "none"


def test_what_cannot_be_is_refused(world: Lab) -> None:
    text = world.fails("run", "--health-cmd", "x", "--health-interval", "10us", "busybox")
    assert "Interval in Healthcheck cannot be less than 1ms" in text
    assert "Unrecognised filter value for health: x" in world.fails("ps", "--filter", "health=x")
    assert json.loads(world.docker("info", "--format", "{{json .Containers}}")) == 0
