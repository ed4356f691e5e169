"""A container's cgroups, by their folders in every hierarchy: who is in them, what the OOM killer did, their removal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress


class Hierarchies:
    """The cgroup file systems of this host, v1 and v2, as mounted when this was made."""

    def __init__(self) -> None:
        self._mounts: dict[str, tuple[str, str]] = {}  # controller, name=... or "" (v2) -> (mount point, root)
        with open("/proc/self/mountinfo") as file:
            for line in file:
                fields = line.split()
                after = fields.index("-")
                kind, options = fields[after + 1], fields[after + 3]
                if kind == "cgroup2":
                    self._mounts.setdefault("", (fields[4], fields[3]))
                elif kind == "cgroup":
                    for option in options.split(","):
                        self._mounts.setdefault(option, (fields[4], fields[3]))
        self._own = set(self._folders("self"))

    def _folders(self, pid: int | str) -> Iterable[str]:
        with open(f"/proc/{pid}/cgroup") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                folder = self._folder(controllers.partition(",")[0], path)
                if folder:
                    yield folder

    def _folder(self, controller: str, path: str) -> str:
        mount, root = self._mounts.get(controller, ("", ""))
        if not mount:
            return ""
        if root != "/" and (path + "/").startswith(root + "/"):
            path = path[len(root) :] or "/"
        return mount + path.rstrip("/")

    def of(self, pid: int) -> list[str]:
        """The folders of a process's cgroups, but for those in which this process is itself."""
        return [folder for folder in self._folders(pid) if folder not in self._own]

    def named(self, path: str) -> list[str]:
        """The folders that a cgroup of this absolute path would have."""
        folders = (mount + path for mount, _ in dict.fromkeys(self._mounts.values()))
        return [folder for folder in folders if path.strip("/")]


def oom_kills(folders: Iterable[str]) -> int:
    """How often the OOM killer has struck in these cgroups."""
    for folder in folders:
        for name in ("memory.oom_control", "memory.events"):
            with suppress(OSError), open(f"{folder}/{name}") as file:
                for line in file:
                    key, _, value = line.partition(" ")
                    if key == "oom_kill":
                        return int(value)
    return 0


def processes(folders: Iterable[str]) -> set[int]:
    """The processes in these cgroups and those below them."""
    found: set[int] = set()
    for folder in folders:
        for below, _, _ in os.walk(folder):
            with suppress(OSError), open(f"{below}/cgroup.procs") as file:
                found.update(int(line) for line in file if line != "0\n")
    return found


def remove(folders: Iterable[str]) -> bool:
    """Remove these cgroups and those below them; False if a process is still in one. Raises OSError for anything else."""
    done = True
    for folder in folders:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            done = _remove_tree(folder) and done
    return done


def _remove_tree(folder: str) -> bool:
    for below, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(below)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
