"""The command wherryd. It begins with as little as can be: what it imports is most of the time until the engine answers."""

from __future__ import annotations

import gc


def main() -> int:
    """Run the daemon; its exit code.

    Until the engine is ready nothing looks for cycles among what the imports make: there are none to be freed, and the
    search takes a sixth of their time. `wherry_engine.daemon.main` turns it on again.
    """
    gc.disable()
    from wherry_engine.daemon.main import main as run

    return run()
