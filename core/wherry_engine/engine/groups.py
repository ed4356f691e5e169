"""The control groups of containers: where each is, and the groups above them that nobody had made before.

A container's group is called by its id and lies below the group that it asks for, else below the engine's own. What is
missing above it the runtime makes, and no runtime removes it; so we note what is missing before, in the exec root, which
lives as long as control groups do, and remove what we noted as soon as it is empty. What others made is left alone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Lock

from wherry.errors import Invalid
from wherry.linux import cgroups
from wherry.linux.files import write_file
from wherry.model.containers import Container

ENGINE = "engine"  # who needs the groups above the engine's own
_LONGEST = 255  # bytes of a name, see mkdir(2)


def group_path(text: str) -> str:
    """A control group's path from the topmost, which is "". Raises ValueError."""
    words = [word for word in text.split("/") if word]
    # A name with a line break is refused by the kernel: it would spoil /proc/PID/cgroup.
    if any(word in (".", "..") or "\n" in word or "\0" in word or len(os.fsencode(word)) > _LONGEST for word in words):
        raise ValueError("it must be the path of a control group, as /containers")
    return "".join(f"/{word}" for word in words)


class Groups:
    """Where the groups are. Its methods that change something block, and are called inside a step."""

    def __init__(self, above: str, name: str, note: Path) -> None:
        """The engine's group is called `name`, below the group `above`; `note` is a file of the exec root."""
        self.engine = f"{above}/{name}"  # it holds the groups of containers that ask for no other
        self._above, self._note, self._lock = above, note, Lock()
        self._users: dict[str, str] = {}  # container's id, or ENGINE: the group that it needs
        self._made = note.read_text().splitlines() if note.exists() else []

    def above(self, container: Container) -> str:
        """The group that holds the container's."""
        wanted = container.host.resources.cgroup_parent
        return group_path(wanted) if wanted else self.engine

    def of(self, container: Container) -> str:
        """The container's group, whether there is one or not."""
        return f"{self.above(container)}/{container.id}"

    def check(self, container: Container, others: Collection[str]) -> None:
        """Raise `Invalid` if the container's group would be inside that of one of `others`, and end with it."""
        above = self.above(container)
        if above.startswith(f"{self.engine}/") or not set(above.split("/")).isdisjoint(others):
            raise Invalid(
                f"invalid cgroup parent {above}: it is inside a group that this engine removes with a container; "
                "name one outside, as /containers"
            )

    def begin(self) -> None:
        """The engine begins."""
        self._enter(ENGINE, self._above)

    def enter(self, container: Container) -> None:
        """The container's group is about to be made."""
        self._enter(container.id, self.above(container))

    def leave(self, container: Container) -> None:
        """The container's group has been removed, or was never made."""
        with self._lock:
            self._users.pop(container.id, None)
            self._tidy()

    def end(self) -> None:
        """No container has a group any more: remove the engine's own, and what was made above it and them."""
        cgroups.remove_group(self.engine)
        with self._lock:
            self._users.clear()
            self._tidy()

    def unneeded(self) -> list[Path]:
        """The folders that were made for groups below them and are empty; to look at, for they may change."""
        with self._lock:
            found = [Path(folder) for folder in self._made if not self._needed(folder)]
        return [folder for folder in found if folder.is_dir() and not _holds_anything(folder)]

    def tidy(self) -> None:
        """Remove what was made above containers and is not needed."""
        with self._lock:
            self._tidy()

    def _enter(self, user: str, group: str) -> None:
        with self._lock:
            self._users[user] = group
            missing = [str(folder) for folder in _folders(group) if not folder.exists()]
            if new := [folder for folder in missing if folder not in self._made]:
                self._keep([*self._made, *new])

    def _tidy(self) -> None:
        deepest_first = sorted(self._made, key=len, reverse=True)
        kept = [folder for folder in deepest_first if self._needed(folder) or not _removed(folder)]
        if len(kept) < len(self._made):
            self._keep(kept)

    def _keep(self, made: list[str]) -> None:
        write_file(self._note, "".join(f"{folder}\n" for folder in made).encode())
        self._made = made

    def _needed(self, folder: str) -> bool:
        return any(folder in map(str, _folders(group)) for group in self._users.values())


def _folders(group: str) -> Iterator[Path]:
    """The group and all above it, in every hierarchy."""
    words = group.strip("/").split("/") if group else []
    for top in cgroups.hierarchies():
        for count in range(1, len(words) + 1):
            yield top.joinpath(*words[:count])


def _removed(folder: str) -> bool:
    """Remove an empty group; whether it is gone."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):  # it holds processes or groups, be they whose they may
            raise
        return False
    return True


def _holds_anything(folder: Path) -> bool:
    return any(path.is_dir() for path in folder.iterdir()) or bool((folder / "cgroup.procs").read_text())
