"""The host ledger: all that a test or a demo could leave behind on this host, before and after.

    before = Ledger.take(roots=[exec_root])
    ...
    for line in before.differences(Ledger.take(roots=[exec_root])):
        print(line)

It covers mounts, links, named network namespaces, nftables, cgroups, our descendants, ports and some sysctls of the whole
host, and descriptors, files and database rows of what it is given. Whoever takes it should be a subreaper
(`become_subreaper`), so that orphans stay among our descendants.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from wherry.linux import syscalls
from wherry.testing import kernel, stored, tasks

PR_SET_CHILD_SUBREAPER = 36

# How a thing of each kind is called when it appeared.
WORDS = {
    "mount": "mount left behind",
    "namespace": "network namespace left behind",
    "link": "link left behind",
    "nft": "nft object left behind",
    "cgroup": "cgroup left behind",
    "process": "process left behind",
    "port": "port still bound",
    "descriptor": "descriptor left open",
    "file": "file left behind",
    "row": "database row left behind",
    "sysctl": "sysctl",
}


@attrs.frozen
class Ledger:
    """What was there at one moment: for each kind, {thing: what is known of it}.

    `populated` are the cgroups that held processes: nobody can remove such a group, so where one is gone later, its
    processes have ended first, and whoever runs them has cleared it away.
    """

    kinds: Mapping[str, Mapping[str, str]]
    populated: frozenset[str] = frozenset()

    @classmethod
    def take(
        cls,
        roots: Sequence[Path] = (),
        *,
        databases: Sequence[Path] = (),
        pids: Sequence[int] = (),
        of: int | None = None,
    ) -> Ledger:
        """Look at the host now: files under `roots`, rows of `databases`, descriptors of `pids`, descendants of `of` (us)."""
        top = os.getpid() if of is None else of
        return cls(
            {
                "mount": kernel.mounts(),
                "namespace": kernel.namespaces(),
                "link": kernel.links(),
                "nft": kernel.nft(),
                "cgroup": kernel.cgroups(),
                "process": tasks.processes(top),
                "port": tasks.ports(top),
                "descriptor": tasks.descriptors(pids),
                "file": stored.files(roots),
                "row": stored.rows(databases),
                "sysctl": kernel.sysctls(),
            },
            kernel.populated_cgroups(),
        )

    def only(self, *kinds: str) -> Ledger:
        """The same, of these kinds alone."""
        return Ledger({kind: self.kinds[kind] for kind in kinds}, self.populated)

    def differences(self, later: Ledger) -> list[str]:
        """One sentence for each thing that appeared, vanished or changed since; [] when the host is as it was."""
        lines = []
        for kind, before in self.kinds.items():
            after = later.kinds[kind]
            lines += [f"{WORDS[kind]}: {_thing(key, after[key])}" for key in after if key not in before]
            missing = [key for key in before if key not in after and key not in self.populated]
            lines += [f"{kind} gone: {_thing(key, before[key])}" for key in missing]
            lines += [
                f"{kind} changed: {key}: {before[key]} became {after[key]}"
                for key in before
                if key in after and before[key] != after[key]
            ]
        return lines


def _thing(key: str, known: str) -> str:
    return f"{key}, {known}" if known else key


def become_subreaper() -> None:
    """From now on orphans among our descendants become our children, not PID 1's."""
    syscalls.call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(spare: Sequence[int] = ()) -> None:
    """Wait for each child of ours that has ended, but for those in `spare`."""
    for process in tasks.descendants(os.getpid()):
        if process.parent == os.getpid() and process.state == "Z" and process.pid not in spare:
            os.waitpid(process.pid, os.WNOHANG)
