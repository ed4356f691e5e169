"""A process of a control group together with all that it has started, also what it is no longer the parent of."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Set
from contextlib import suppress

from wherry.linux import cgroups
from wherry.linux.process import kin_of, open_files
from wherry.linux.steps import effect


def end_tree(root: int, group: str, pipes: Set[str], spared: int) -> None:
    """Kill `root` (0: it has ended), its session, who holds one of `pipes`, as /proc calls them, and all below these.

    Only processes of the group are looked at, and `spared`, its first, and its session are left alone. All are stopped
    before the first is killed: none can start another meanwhile, and none loses the parent by which it is found.
    """
    found: set[int] = set()
    while new := _tree(root, group, pipes, spared) - found:
        _signal(new, signal.SIGSTOP)
        found |= new
    _signal(found, signal.SIGKILL)


def _tree(root: int, group: str, pipes: Set[str], spared: int) -> set[int]:
    kin = {pid: each for pid in cgroups.processes(group) if (each := kin_of(pid))}
    tree = {pid for pid in kin if pid == root or (pipes and not pipes.isdisjoint(open_files(pid)))}
    if root in kin and (spared not in kin or kin[root][1] != kin[spared][1]):
        tree |= {pid for pid, (_, session) in kin.items() if session == kin[root][1]}
    while more := {pid for pid, (parent, _) in kin.items() if parent in tree} - tree:
        tree |= more
    return tree - {spared}


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        effect("signal", str(pid))
        with suppress(ProcessLookupError):
            os.kill(pid, number)
