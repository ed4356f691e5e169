"""Two operations meet: the second begins at a step, or at a commit, of the first. Run as a program, on a root of sweep_lab.py.

meet_lab.py ROOT PAIR...    prints the problems

However they meet, each has either happened or not, as it told its caller, and all is as if one had come after the other.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
from tests.engine.meetings import PAIRS, Pair
from tests.engine.sweep_lab import BACKGROUND, Act, Lab, settled

from wherry.errors import WherryError
from wherry.linux import steps
from wherry_engine.engine.engine import Engine
from wherry_engine.state.database import Database

PATIENCE = 0.05  # s that the first stands still for the second, which may have to wait for it
DEADLINE = 20.0
# What may follow each event of a container.
AFTER = {
    "new": ["create"],
    "create": ["start", "destroy"],
    "start": ["die"],
    "die": ["start", "destroy"],
    "destroy": [""],
}
ONCE = "driver.load"  # a life
FAILING = ContextVar("failing", default="")  # the step that fails in one of the two, also in threads that work for it
Place = tuple[str, int]  # a step, or "commit", and which time it is reached
Outcome = tuple[bool, bool]  # whether each of them told its caller that it has happened


class Gate:
    """Where the first operation stands still. Only threads can: the event loop has to go on."""

    def __init__(self) -> None:
        self.reached: list[Place] = []
        self._counts: dict[str, int] = {}
        self._at: Place | None = None
        self._loop = asyncio.get_running_loop()
        self.there, self._on = asyncio.Event(), threading.Event()

    def set(self, at: Place | None) -> None:
        """Begin to count anew, and stand still there."""
        self._counts.clear()
        self.reached.clear()
        self._at, self.there, self._on = at, asyncio.Event(), threading.Event()

    def open(self) -> None:
        """Go on."""
        self._on.set()

    def pass_(self, name: str) -> None:
        """A thread has come to this step."""
        if threading.current_thread() is threading.main_thread() or name in (*BACKGROUND, ONCE):
            return
        self._counts[name] = self._counts.get(name, 0) + 1
        place = name, self._counts[name]
        self.reached.append(place)
        if place == self._at:
            on = self._on
            self._loop.call_soon_threadsafe(self.there.set)
            on.wait(DEADLINE)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """At every step and before every commit."""
        fire, transaction = steps._fire, Database._transaction

        def passing(name: str, place: str) -> None:
            if place == "before":
                self.pass_(name)
                if FAILING.get() == name:
                    raise steps.Failpoint(name)
            fire(name, place)

        def committing(database: Database, batch: Any) -> None:
            self.pass_("commit")
            transaction(database, batch)

        steps._fire = passing
        Database._transaction = committing  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            steps._fire = fire
            Database._transaction = transaction  # type: ignore[method-assign]


async def told(act: Act, engine: Engine, failing: str = "") -> str:
    """What it tells its caller; "" is that it has happened."""
    token = FAILING.set(failing)
    try:
        await asyncio.wait_for(act(engine), DEADLINE)
    except (WherryError, OSError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        FAILING.reset(token)
    return ""


@attrs.frozen
class Trial:
    """How it was."""

    outcome: Outcome
    state: dict[str, Any]
    faults: list[str]
    words: str


class Meeting:
    """One pair, in one engine."""

    def __init__(self, lab: Lab, pair: Pair, gate: Gate) -> None:
        self._lab, self._pair, self._gate = lab, pair, gate

    async def problems(self) -> list[str]:
        """What went wrong, at whatever place they met."""
        possible, places = await self._alone()
        found = (
            [] if (not self._pair.failing, False) in possible else ["all: the first does not do alone what it should"]
        )
        for place in places:
            trial = await self._trial(place)
            found += [f"{place}: {fault} ({trial.words})" for fault in trial.faults]
            if trial.state not in possible.get(trial.outcome, ()):
                found.append(f"{place}: {trial.state} ({trial.words}); it might be {possible}")
        return found

    async def _alone(self) -> tuple[dict[Outcome, list[Any]], list[Place]]:
        """The states that may be, by outcome, and the places of the first operation."""
        possible: dict[Outcome, list[Any]] = {}
        places: list[Place] = []
        for order in ("", "1", "2", "12", "21"):
            await self._pair.prepare(self._lab.engine)
            outcome = {"1": False, "2": False}
            self._gate.set(None)
            for which in order:
                outcome[which] = not await self._told(which)
            if order == "1":
                places = list(self._gate.reached)
            await settled(self._lab)
            possible.setdefault((outcome["1"], outcome["2"]), []).append(self._lab.state())
            await self._lab.clean()
        if self._pair.joined:
            possible[True, True] = possible[False, True] = [state for states in possible.values() for state in states]
        return possible, places

    async def _told(self, which: str) -> str:
        pair, engine = self._pair, self._lab.engine
        return await (told(pair.first, engine, pair.failing) if which == "1" else told(pair.second, engine))

    async def _trial(self, place: Place) -> Trial:
        self._lab.engine.events._past.clear()
        await self._pair.prepare(self._lab.engine)
        self._gate.set(place)
        first = asyncio.create_task(self._told("1"))
        there = asyncio.create_task(self._gate.there.wait())
        await asyncio.wait({first, there}, return_when=asyncio.FIRST_COMPLETED)
        second = asyncio.create_task(self._told("2"))
        await asyncio.wait({second}, timeout=PATIENCE)
        self._gate.open()
        words = await first, await second
        there.cancel()
        missed = [] if self._gate.there.is_set() else ["was not reached"]
        faults = [*missed, *disorder(self._lab.engine), *lost(self._lab.engine), *await self._settled()]
        state = self._lab.state()
        await self._lab.clean()
        return Trial((not words[0], not words[1]), state, faults, f"{words[0] or 'done'}; {words[1] or 'done'}")

    async def _settled(self) -> list[str]:
        try:
            return await settled(self._lab)
        except WherryError as error:
            return [f"the check fails: {error.text}"]


def disorder(engine: Engine) -> Iterator[str]:
    """Whose events tell another story than a life: created, started and ended in turn, removed."""
    lives: dict[str, list[str]] = {}
    for event in engine.events._past:
        if event.type == "container" and event.action in AFTER:
            lives.setdefault(event.id, ["new"]).append(event.action)
    for life in lives.values():
        if any(action not in AFTER[before] for before, action in pairwise(life)):
            yield f"the events of a container are {life[1:]}"


def lost(engine: Engine) -> Iterator[str]:
    """What records name and is not there."""
    volumes = {volume.name for volume in engine.volumes.list()}
    networks = {network.id for network in engine.networks.list()}
    for container in engine.containers.list():
        if engine.images.base(container.image_id) is None:
            yield f"the image of {container.name} is lost"
        if gone := [point.name for point in container.mounts if point.type == "volume" and point.name not in volumes]:
            yield f"the volumes {gone} of {container.name} are lost"
        places = container.networks.items()
        if gone := [name for name, place in places if place.endpoint_id and place.network_id not in networks]:
            yield f"the networks {gone} of {container.name} are lost"


async def main(root: str, names: list[str]) -> None:
    lab = Lab(Path(root))
    await lab.start()
    gate, problems = Gate(), []
    with gate.installed():
        for name in names or PAIRS:
            problems += [f"{name} at {problem}" for problem in await Meeting(lab, PAIRS[name], gate).problems()]
    await lab.engine.stop()
    sys.stdout.write(json.dumps(problems))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
