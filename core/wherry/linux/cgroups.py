"""Control groups: which version this host has, and removing the groups of an engine. Source: cgroups(7)."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path

from wherry.linux.steps import effect

ROOT = Path("/sys/fs/cgroup")
FREEZING_TAKES = 2.0  # s that processes get to stand still; one in an uninterruptible call may never do so


def version(root: Path = ROOT) -> int:
    """2 where all controllers are in one hierarchy, else 1 (hybrid hosts too)."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The top folder of each hierarchy; links to one under another name are left out."""
    if version(root) == 2:
        return [root]
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    except FileNotFoundError:
        return []


def controllers(root: Path = ROOT) -> frozenset[str]:
    """The controllers that can limit something here."""
    if version(root) == 2:
        return frozenset((root / "cgroup.controllers").read_text().split())
    return frozenset(name for path in root.iterdir() if path.is_dir() for name in path.name.split(","))


def remove_group(name: str, root: Path = ROOT) -> list[str]:
    """Remove a group and its children from every hierarchy; returns those that still hold processes."""
    busy: list[str] = []
    for top in hierarchies(root):
        group = top / name.strip("/")
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                busy.append(folder)
    return busy


def folder(controller: str, group: str, root: Path = ROOT) -> Path:
    """Where a controller keeps a group: its own hierarchy in version 1, the one of all in version 2."""
    return (root if version(root) == 2 else root / controller) / group.strip("/")


def freeze(group: str) -> None:
    """Stop every process of a group, and return when all stand still. Raises `TimeoutError`, after letting them go on.

    A group that is gone counts as frozen. Sources: freezer-subsystem.txt, cgroup-v2.rst ("cgroup.freeze") of the kernel.
    """
    where = folder("freezer", group)
    end = time.monotonic() + FREEZING_TAKES
    while not _set_frozen(where, True):
        if time.monotonic() > end:
            _set_frozen(where, False)
            raise TimeoutError(f"its processes did not stop within {FREEZING_TAKES:g} s")
        time.sleep(0.0005)


def thaw(group: str) -> None:
    """Let the processes of a group go on. A group that is gone is fine."""
    _set_frozen(folder("freezer", group), False)


def _set_frozen(where: Path, frozen: bool) -> bool:
    """Ask for it; whether it is so."""
    effect("cgroup", str(where))
    try:
        if version() == 2:
            (where / "cgroup.freeze").write_text("1" if frozen else "0")
            return f"frozen {int(frozen)}" in (where / "cgroup.events").read_text()
        (where / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
        return (where / "freezer.state").read_text().strip() == ("FROZEN" if frozen else "THAWED")
    except FileNotFoundError:
        return True


def write(controller: str, group: str, file: str, value: str) -> None:
    """Write one control file of a group. Raises OSError; FileNotFoundError if this kernel does not have it."""
    where = folder(controller, group) / file
    effect("cgroup", str(where))
    with where.open("r+") as target:
        target.write(value)


def processes(group: str) -> set[int]:
    """The processes of a group and of those below it; none if it is gone."""
    found: set[int] = set()
    for below, _, names in os.walk(folder("pids", group)):
        if "cgroup.procs" in names:
            with suppress(FileNotFoundError, OSError):
                found.update(map(int, Path(below, "cgroup.procs").read_text().split()))
    return found
