"""An image is removed while a container of it is being created, at every instant. Run as a program.

race_lab.py ROOT  prints {"outcomes": [...], "problems": [...]}
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.engine.sweep_lab import Lab, load, settled

from wherry.errors import Conflict, NotFound
from wherry.model.configs import Config, HostConfig
from wherry.model.containers import ContainerSpec
from wherry_engine.engine.engine import Engine

INSTANTS = range(0, 40, 2)


async def create(engine: Engine, ticks: int) -> str:
    """After some turns of the event loop."""
    for _ in range(ticks):
        await asyncio.sleep(0)
    spec = ContainerSpec(name="one", config=Config(image="fresh", cmd=("true",)), host=HostConfig(network_mode="none"))
    try:
        await engine.containers.create(spec)
    except NotFound as error:
        return f"not created: {error.text}"
    return "created"


async def remove(engine: Engine, ticks: int) -> str:
    """After some turns of the event loop and some time."""
    for _ in range(ticks):
        await asyncio.sleep(0.0002)
    try:
        await engine.images.remove("fresh")
    except Conflict:
        return "kept"
    return "removed"


async def race(lab: Lab, first: int, second: int) -> tuple[str, list[str]]:
    """Both at once; what came of it, and what is wrong with that."""
    engine = lab.engine
    await load(engine, "fresh", "more")
    created, removed = await asyncio.gather(create(engine, first), remove(engine, second))
    problems = []
    if created == "created":
        over = engine.containers.wait("one", "next-exit")
        await engine.containers.start("one")
        if status := (await asyncio.wait_for(over, 10)).exit_code:
            problems.append(f"the container ended with {status}")
    elif removed == "kept":
        problems.append("the image was kept for nobody")
    problems += await settled(lab)
    await lab.clean()
    return f"{created}, {removed}", problems


async def main(root: str) -> None:
    lab = Lab(Path(root))
    await lab.start()
    outcomes, problems = set(), []
    for instant in INSTANTS:
        for first, second in ((0, instant), (instant, 0)):
            outcome, found = await race(lab, first, second)
            outcomes.add(outcome)
            problems += [f"{first}, {second}: {outcome}: {problem}" for problem in found]
    await lab.engine.stop()
    sys.stdout.write(json.dumps({"outcomes": sorted(outcomes), "problems": problems}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
