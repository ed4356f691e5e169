"""What a dead monitor leaves: the runtimes that were at work for it, and what they had made but not handed over."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from wherry.linux.process import children
from wherry.linux.steps import step
from wherry_engine.monitor.cgroups import Hierarchies
from wherry_engine.monitor.report import report
from wherry_engine.supervisor.execs import finish_starts
from wherry_engine.supervisor.held import Holdings


def clear_up(work: str, holdings: Holdings, at_work: Callable[[int], bool]) -> None:
    """Let the starts of execs end, whose pid files lie in `work`, and kill the rest: nobody will commit it.

    `at_work` tells whether a child, by its pid, has a task of ours.
    """
    finish_starts(work, holdings)
    try:
        while strays := [pid for pid in children() if _is_stray(pid, holdings, at_work)]:
            with step("supervisor.stray.kill"):
                for pid in strays:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
    except OSError as error:  # the next monitor may meet them at work, but there will be one
        report(f"what a monitor has left cannot be killed: {error}")


def _is_stray(pid: int, holdings: Holdings, at_work: Callable[[int], bool]) -> bool:
    """Whether this child of ours has no task of ours, is no container's process, and no orphan from within one.

    Its program does not tell: a runtime that is being started still has ours, and crun's copy of itself has none.
    """
    if holdings.is_held(pid) or at_work(pid):
        return False
    return not holdings.owns_any(Hierarchies().of(pid))
