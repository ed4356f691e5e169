"""Control groups: which version this host has, and removing the groups of an engine. Source: cgroups(7)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


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
