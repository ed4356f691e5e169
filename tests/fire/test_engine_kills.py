"""wherryd is killed at random moments while workers use it: what it has acknowledged is so, and nothing else is left.

WHERRY_KILL_SEED repeats a run's random choices; the moments at which the kernel and the engine are hit differ all the same.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time

import pytest
from tests.fire.daemon import BACK, Api, Fire, Refused, eventually

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]

KILLS, WORKERS = 20, 4
LIVES = (("start", "stop"), ("start", "exec", "kill"), ("start", "pause"), ("start", "exec"), ("start",), ())


class Worker(threading.Thread):
    """Creates, starts, stops and removes containers, one at a time, and remembers what was acknowledged."""

    def __init__(self, number: int, api: Api, seed: str) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.number, self.api, self.random = number, api, random.Random(f"{seed}/{number}")
        self.over = threading.Event()
        self.made: set[str] = set()
        self.removed: set[str] = set()
        self.doubtful: set[str] = set()  # a request for it was cut off
        self.faults: list[str] = []

    def run(self) -> None:
        count = 0
        while not self.over.is_set():
            count += 1
            self._life(f"w{self.number}-{count}")

    def _life(self, name: str) -> None:
        policy = self.random.choice(["no", "no", "always", "on-failure"])
        try:
            self.api.create(name, RestartPolicy={"Name": policy}, Binds=[f"{name}:/data"])
            self.made.add(name)
            for verb in self.random.choice(LIVES):
                if verb == "exec":
                    id = self.api("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})["Id"]
                    self.api("POST", f"/exec/{id}/start", {"Detach": True})
                else:
                    self.api("POST", f"/containers/{name}/{verb}")
            if self.random.random() < 0.8:
                self.api("DELETE", f"/containers/{name}", force=1)
                self.removed.add(name)
        except (OSError, http.client.HTTPException):
            self.doubtful.add(name)
            self.over.wait(0.05)
        except Refused as refused:
            self.faults.append(f"{name}: {refused}")


def test_a_killed_engine_loses_nothing_that_it_has_acknowledged(fire: Fire) -> None:
    seed = os.environ.get("WHERRY_KILL_SEED") or str(random.randrange(10**6))
    print(f"WHERRY_KILL_SEED={seed}")  # noqa: T201  to repeat it
    chance = random.Random(seed)
    workers = [Worker(number, fire.api, seed) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    delays = []
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.8))
        fire.kill()
        delays.append(fire.start())
        _check(fire, workers)
    for worker in workers:
        worker.over.set()
    for worker in workers:
        worker.join(30)
    assert max(delays) <= BACK, delays
    assert [fault for worker in workers for fault in worker.faults] == []
    assert sum(len(worker.removed) for worker in workers) > KILLS
    _check(fire, workers)
    for name in sorted(_names(fire)):
        eventually(lambda n=name: fire.api("DELETE", f"/containers/{n}", force=1) == "")  # type: ignore[misc]
    for volume in fire.api("GET", "/volumes")["Volumes"]:
        fire.api("DELETE", f"/volumes/{volume['Name']}")
    for folder in ("containers", "mounts", "volume-mounts", "storage/overlay2/active", "storage/overlay2/new"):
        assert list((fire.where.data / folder).iterdir()) == []


def _names(fire: Fire) -> set[str]:
    return {item["Names"][0][1:] for item in fire.api("GET", "/containers/json", all=1)}


def _check(fire: Fire, workers: list[Worker]) -> None:
    """What was acknowledged before we ask is so, but for what is being done meanwhile."""
    made = {name for worker in workers for name in tuple(worker.made)}
    removed = {name for worker in workers for name in tuple(worker.removed)}
    found = _names(fire)
    unsure = {name for worker in workers for name in tuple(worker.doubtful)} | _current(workers)
    assert not (removed & found), f"removed, and back: {removed & found}"
    assert not (made - removed - unsure - found), f"made, and lost: {made - removed - unsure - found}"


def _current(workers: list[Worker]) -> set[str]:
    """What may have been removed since it was noted as made: each worker's last one."""
    return {
        max(
            (n for n in tuple(worker.made) if n.startswith(f"w{worker.number}-")),
            key=lambda n: int(n.split("-")[1]),
            default="",
        )
        for worker in workers
    }
