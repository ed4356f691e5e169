"""Processes of ours are killed at random moments while workers use the engine: what it has acknowledged is so, and nothing
else is left.

WHERRY_KILL_SEED repeats a run's random choices; the moments at which the kernel and the engine are hit differ all the same.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest
from tests.fire.daemon import BACK, Fire
from tests.fire.machinery import MONITOR, SUPERVISOR, Machinery
from tests.fire.workers import check, end, left, remove_all, working

from wherry.testing import tasks

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]

KILLS = 20
# How an operation fails whose helper was killed; and what may be asked again (503) if it was one of those above.
DIED = ("the helper for", " 503 ")


def chances() -> random.Random:
    """Those of this run."""
    seed = os.environ.get("WHERRY_KILL_SEED") or str(random.randrange(10**6))
    print(f"WHERRY_KILL_SEED={seed}")  # noqa: T201  to repeat it
    return random.Random(seed)


def test_a_killed_engine_loses_nothing_that_it_has_acknowledged(fire: Fire) -> None:
    chance = chances()
    workers = working(fire, str(chance.random()))
    delays = []
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.8))
        fire.kill()
        delays.append(fire.start())
        check(fire, workers)
    end(workers)
    assert max(delays) <= BACK, delays
    assert [fault for worker in workers for fault in worker.faults] == []
    assert sum(len(worker.removed) for worker in workers) > KILLS
    fire.kill()
    fire.start()
    check(fire, workers)
    remove_all(fire)
    assert left(fire) == []


def test_whichever_process_is_killed_what_was_acknowledged_is_so(fire: Fire) -> None:
    chance, machinery = chances(), Machinery(fire)
    workers = working(fire, str(chance.random()))
    for _ in range(2 * KILLS):
        time.sleep(chance.uniform(0.05, 0.4))
        name = chance.choice(["engine", MONITOR, SUPERVISOR, "wherry-helper", "crun"])
        if name == "engine":
            fire.kill()
            fire.start()
        elif name in (MONITOR, SUPERVISOR):
            machinery.kill(name)
        else:
            _kill_one(name)
        check(fire, workers)
    end(workers)
    faults = [fault for worker in workers for fault in worker.faults]
    assert [fault for fault in faults if not any(words in fault for words in DIED)] == []
    check(fire, workers)
    remove_all(fire)
    assert left(fire) == []


def _kill_one(name: str) -> None:
    """One of the processes that live for a moment, if there is one within a second."""
    late = time.monotonic() + 1
    while time.monotonic() < late:
        for process in tasks.descendants(os.getpid()):
            if process.name == name and process.state != "Z":
                with contextlib.suppress(ProcessLookupError):  # its moment is over
                    os.kill(process.pid, signal.SIGKILL)
                    return
