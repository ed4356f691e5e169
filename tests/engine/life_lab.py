"""The start and the end of an engine, in which a step fails or kills it. Run as a program, on a root of sweep_lab.py.

life_lab.py ROOT KIND STEP ACTION PLACE     recovers, checks what the life before left, and dies in another one
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.engine.sweep_lab import Lab, check_last, note_steps, run

from wherry.errors import WherryError
from wherry.linux import steps
from wherry_engine.state.codec import encode
from wherry_engine.state.database import Change

# The steps by the state that an engine finds: a container runs; nothing does; the host was restarted.
LIVES = {
    "running": (
        "driver.load",
        "engine.database.open",
        "engine.database.close",
        "engine.groups",
        "engine.observers.load",
        "engine.roots",
        "network.reconcile",
        "network.watch",
        "runtime.probe",
        "services.processes",
        "services.sandboxes",
    ),
    "empty": ("driver.close", "engine.clear", "engine.group", "processes.log.remove", "processes.supervisor.start"),
    "rebooted": ("engine.reboot",),
}


async def live(lab: Lab, kind: str, step: str, action: str, place: str) -> list[str]:
    """Recover from the life before, and live another one in which the step fails; "killed" is the good end."""
    problems = await check_last(lab)
    if problems:
        return problems
    if kind == "running":
        await run(lab.engine, "one")
    if kind == "rebooted":
        await lab.engine._database.commit(Change("boot", "id", encode("another")))
    await lab.engine.stop()
    steps.arm(f"{step}={action}@{place}")
    with suppress(WherryError, OSError):
        await lab.start()
        await lab.engine.info()
        await lab.engine.stop()
    if not steps._armed:
        os.kill(os.getpid(), signal.SIGKILL)
    return [f"{step}={action}@{place} was not reached"]


def main(root: str, kind: str, step: str, action: str, place: str) -> None:
    lab = Lab(Path(root))
    note_steps(lab.root / "reached")
    sys.stdout.write(json.dumps(asyncio.run(live(lab, kind, step, action, place))))


if __name__ == "__main__":
    main(*sys.argv[1:])
