"""Whoever starts an exec leaves before it is started, at every instant. Run as a program, on a root of sweep_lab.py.

leave_lab.py ROOT   prints the problems
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.engine.sweep_lab import Lab, run, settled

from wherry.model.execs import ExecSpec

INSTANTS = range(0, 60, 3)


async def leave(lab: Lab, ticks: int) -> list[str]:
    """After some turns of the event loop; what goes on all the same."""
    engine = lab.engine
    id = engine.execs.create("one", ExecSpec(command=("sleep", "1000"), stdout=True))
    starting = asyncio.create_task(engine.execs.start(id))
    for _ in range(ticks):
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    container = engine.containers.get("one")
    for _ in range(100):
        if starting.cancelled() and engine.execs.get(id).running:
            await asyncio.sleep(0.02)
    if not starting.cancelled():
        await engine.execs.end(id)
    still = [f"after {ticks}: {each} goes on" for each in engine.execs.ids(container) if engine.execs.get(each).running]
    return [*still, *await settled(lab)]


async def main(root: str) -> None:
    lab = Lab(Path(root))
    await lab.start()
    await run(lab.engine, "one")
    problems = [problem for ticks in INSTANTS for problem in await leave(lab, ticks)]
    await lab.clean()
    await lab.engine.stop()
    sys.stdout.write(json.dumps(problems))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
