"""Forking: a child starts with the modules that are loaded already and with no descriptor but those it is given."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

from wherry.linux.process import close_all_but, reset_signals
from wherry.linux.steps import step


class _InChild(BaseException):
    """We are the child."""


def fork(name: str, keep: Iterable[int], let_go: Callable[[], None]) -> int:
    """Fork in the step of this name. In the child (0) `let_go` has closed what objects hold, and all but `keep` is closed.

    Objects must be closed as such: a collected one would later close a number that means something else by then.
    """
    kept, pid = list(keep), -1
    try:
        with step(name):
            pid = os.fork()
            if not pid:
                raise _InChild  # leaves the step without its failpoint, which is the parent's
    except _InChild:
        pass
    except OSError:
        if pid > 0:
            os.kill(pid, signal.SIGKILL)  # reaped with the rest
        raise
    if not pid:
        reset_signals()
        let_go()
        close_all_but(kept)
    return pid
