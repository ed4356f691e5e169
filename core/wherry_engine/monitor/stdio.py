"""A container's standard streams as they are made for the runtime's `create`."""

from __future__ import annotations

import fcntl
import os
from contextlib import AbstractContextManager, suppress

from wherry.errors import Failed
from wherry.linux.consoles import Console, Stdio, resize
from wherry.linux.steps import step

PIPE = 1 << 20


class ContainerStdio(Stdio):
    """Pipes, or a terminal that the runtime makes and sends through a console socket."""

    def __init__(self, work: str, null: int, *, tty: bool, stdin: bool, size: tuple[int, int]) -> None:
        """`work` is a folder for the console socket; `null` a descriptor of /dev/null. Raises OSError."""
        super().__init__()
        self._null, self._stdin, self._size = null, stdin, size
        try:
            if tty:
                self._console = Console(work)
            else:
                self._pipes()
        except BaseException:
            self.abandon()
            raise

    def _pipes(self) -> None:
        if self._stdin:
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(write, False)
            self.ours["stdin"] = write
            self.theirs.append(read)
        else:
            self.theirs.append(os.dup(self._null))
        for name in ("stdout", "stderr"):
            read, write = os.pipe2(os.O_CLOEXEC)
            self.ours[name] = read
            self.theirs.append(write)
            _enlarge(read)

    def _removing(self) -> AbstractContextManager[None]:
        return step("monitor.create.console")

    def created(self) -> None:
        """The runtime has ended well: take the terminal that it has sent. Raises OSError or Failed."""
        self._close_theirs()
        if self._console is None:
            return
        master = self._console.receive()
        if master is None:
            raise Failed("the runtime has sent no terminal")
        self.ours["tty"] = master
        if self._stdin:
            self.ours["stdin"] = fcntl.fcntl(master, fcntl.F_DUPFD_CLOEXEC, 3)
        read, write = os.pipe2(os.O_CLOEXEC)
        self.ours["ttypipe"] = read
        _enlarge(read)  # 256 slots: each splice from a terminal takes one, however few the bytes
        os.close(write)
        if self._size != (0, 0):
            resize(master, *self._size)
        self._close_console()


def _enlarge(pipe: int) -> None:
    with suppress(
        PermissionError
    ):  # the user's share of pipe memory is used up, and we lack CAP_SYS_RESOURCE and CAP_SYS_ADMIN
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
