"""The directories of a tree while an archive is extracted into it: found inside the tree, made when missing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from wherry.linux.files import remove_entry
from wherry.linux.openat2 import open_directory, openat2
from wherry.linux.tar_whiteouts import Whiteouts

_MOST = 200  # descriptors held; archives go through a tree directory by directory


class Folders:
    """Descriptors of directories by their path in the archive, resolved with the tree as root. Owns `top`.

    `base` is the path of a directory that is open already, and stays so whatever happens to the path; mounts may be
    entered then.

    `removed` is told each path that had to make room. A descriptor that `find` or `make` returned stays open until the next `make`, `trim` or `forget`.
    """

    def __init__(
        self,
        top: int,
        whiteouts: Whiteouts,
        removed: Callable[[bytes], None] | None = None,
        *,
        base: tuple[bytes, int] | None = None,
    ) -> None:
        self.top = top
        self._base = base
        self._enter_mounts = base is not None
        self._removed = removed
        self._whiteouts = whiteouts
        self._open: dict[bytes, int] = {}
        self._times: dict[bytes, int] = {}

    def find(self, path: bytes) -> int:
        """The directory at `path`. Raises OSError if there is none."""
        if self._base is not None and path == self._base[0]:
            return self._base[1]
        if not path:
            return self.top
        found = self._open.get(path)
        if found is None:
            found = self._open[path] = openat2(self.top, path, os.O_RDONLY | os.O_DIRECTORY)
        return found

    def make(self, path: bytes) -> int:
        """The directory at `path`, made if it is missing, as are those it lies in. Raises OSError."""
        try:
            return self.find(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        directory = self.top
        at = 0
        while at < len(path):  # one component more each time
            if len(self._open) > _MOST:
                self.forget(but=directory)
            start = at and at + 1
            at = path.find(b"/", start)
            at = len(path) if at < 0 else at
            directory = self._make_one(directory, path[start:at], path[:at])
        return directory

    def _make_one(self, directory: int, name: bytes, path: bytes) -> int:
        lifted = False
        try:
            os.mkdir(name, 0o755, dir_fd=directory)
            made = True
        except FileExistsError:
            made = lifted = self._whiteouts.lift(directory, name)
            if lifted:
                os.mkdir(name, 0o755, dir_fd=directory)
        try:
            opened = open_directory(directory, name, mounts=self._enter_mounts)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return self.find(path)  # a link, to be resolved with the tree as root
        self.keep(path, opened)
        if made:
            os.fchmod(opened, 0o755)  # whatever the umask
        if lifted:
            self._whiteouts.replaced(opened)
        return opened

    def keep(self, path: bytes, opened: int) -> None:
        """Take over the descriptor of the directory at `path`."""
        earlier = self._open.pop(path, None)
        if earlier is not None:
            os.close(earlier)
        self._open[path] = opened

    def time(self, path: bytes, mtime: int) -> None:
        """Let `set_times` give the directory this time, in nanoseconds."""
        self._times[path] = mtime

    def remove(self, directory: int, name: bytes, path: bytes) -> None:
        """Remove the entry `name`, which is at `path`, to make room for another."""
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        remove_entry(directory, name)
        if self._removed is not None:
            self._removed(path)
        if stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode):  # paths through it now lead elsewhere
            self.forget(but=directory)
            below = path + b"/"
            self._times = {at: time for at, time in self._times.items() if at != path and not at.startswith(below)}

    def trim(self) -> None:
        """Close the descriptors if there are many."""
        if len(self._open) > _MOST:
            self.forget()

    def forget(self, but: int | None = None) -> None:
        """Close the descriptors, except one that is in use."""
        kept = {}
        for path, opened in self._open.items():
            if opened == but:
                kept[path] = opened
            else:
                os.close(opened)
        self._open = kept

    def set_times(self) -> None:
        """Give the directories their times, now that nothing is made in them any more."""
        for path, mtime in self._times.items():
            self.trim()
            try:
                opened = self.find(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry took its place
            os.utime(opened, ns=(mtime, mtime))

    def close(self) -> None:
        """Let go of all descriptors."""
        self.forget()
        os.close(self.top)
        if self._base is not None:
            os.close(self._base[1])
