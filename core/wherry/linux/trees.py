"""Walking trees that hold what a container made: any depth, any name, links to anywhere, perhaps changing meanwhile.

A walk goes by descriptors, one directory at a time: it follows no link, enters no mount unless told to, and holds one descriptor
whatever the depth.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from wherry.linux.openat2 import open_directory

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # no longer there, or no longer a directory


class Cursor:
    """An open directory, `here`, that moves down and up again within a tree. Owns the descriptor it is given."""

    def __init__(self, top: int, *, enter_mounts: bool = False) -> None:
        self.here = top
        self._enter_mounts = enter_mounts
        self._above: list[tuple[int, int]] = []

    def down(self, name: bytes) -> None:
        """Go to the sub-directory `name`. Raises OSError, and stays, if it is no directory, or a mount (EXDEV) not to enter."""
        below = open_directory(self.here, name, mounts=self._enter_mounts)
        self._above.append(_identity(self.here))
        self._move(below)

    def up(self) -> None:
        """Go back to where `down` came from. Raises OSError if the directory has been moved elsewhere meanwhile."""
        above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.here)
        moved = _identity(above) != self._above.pop()
        self._move(above)
        if moved:
            raise OSError(errno.ESTALE, "a directory was moved while its tree was walked")

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.here)

    def _move(self, to: int) -> None:
        os.close(self.here)
        self.here = to


def walk(
    top: int,
    enter: Callable[[int, bytes], list[bytes]],
    leave: Callable[[int, bytes], None],
    *,
    skip_mounts: bool = False,
    enter_mounts: bool = False,
) -> None:
    """Visit the tree of the directory `top`, whose descriptor this takes over.

    `enter(directory, name)` is called in each directory (in the first with an empty name) and returns the names of
    those below that it wants visited; `leave(parent, name)` when all below `name` is done. What is gone by then is left
    out. A mount raises OSError (EXDEV), or is left out with `skip_mounts`, or entered with `enter_mounts`.
    """
    cursor = Cursor(top, enter_mounts=enter_mounts)
    try:
        pending = [(b"", enter(cursor.here, b""))]
        while pending:
            name, todo = pending[-1]
            if todo:
                below = todo.pop()
                try:
                    cursor.down(below)
                except OSError as error:
                    if error.errno in _GONE or (skip_mounts and error.errno == errno.EXDEV):
                        continue
                    raise
                pending.append((below, enter(cursor.here, below)))
                continue
            pending.pop()
            if pending:
                cursor.up()
                leave(cursor.here, name)
    finally:
        cursor.close()


def _identity(directory: int) -> tuple[int, int]:
    found = os.fstat(directory)
    return found.st_dev, found.st_ino
