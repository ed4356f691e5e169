"""Console sockets: how an OCI runtime hands over the terminal that it has made for a process."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import struct
import termios
from contextlib import AbstractContextManager, suppress

_names = itertools.count()


class Console:
    """A socket at a path in a folder, to which one runtime after another may send a terminal."""

    def __init__(self, folder: str) -> None:
        """Raises OSError."""
        # a Unix address has 108 bytes: the folder is named by a descriptor of this process, which the runtime can open
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.path = f"/proc/{os.getpid()}/fd/{self._folder}/tty{os.getpid()}-{next(_names)}"
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(self.path)
            self._listener.listen(4)
            self._listener.setblocking(False)
        except BaseException:
            self._listener.close()
            os.close(self._folder)
            raise

    def fileno(self) -> int:
        """The descriptor that is readable when a terminal has been sent."""
        return self._listener.fileno()

    def receive(self) -> int | None:
        """The master of the terminal that has been sent, None if there is none. The descriptor is the caller's."""
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return None
        with connection:
            connection.setblocking(True)
            _, fds, _, _ = socket.recv_fds(connection, 4096, 1, socket.MSG_CMSG_CLOEXEC)
        return fds[0] if fds else None

    def close(self) -> None:
        """Remove the socket. To be called in a step, and again if that fails."""
        if self._folder < 0:
            return
        self._listener.close()
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        os.close(self._folder)
        self._folder = -1


class Stdio:
    """The standard streams of a process that a runtime is to make: our ends, its own, and the console socket if it has one."""

    def __init__(self) -> None:
        self.ours: dict[str, int] = {}  # by name: stdin, stdout, stderr, tty and what belongs to it
        self.theirs: list[int] = []  # 0, 1 and 2 of the process
        self._console: Console | None = None

    def _removing(self) -> AbstractContextManager[None]:
        """The step in which the console socket is removed."""
        raise NotImplementedError

    @property
    def console_path(self) -> str:
        """Where the runtime is to send the terminal, "" if there is to be none."""
        return "" if self._console is None else self._console.path

    def _close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)
        self.theirs = []

    def _close_console(self) -> None:
        if self._console is not None:
            with self._removing():
                self._console.close()
            self._console = None

    def abandon(self) -> None:
        """Close everything: there will be no process, or nobody who listens."""
        self._close_theirs()
        for fd in self.ours.values():
            os.close(fd)
        self.ours = {}
        self._close_console()


def resize(tty: int, height: int, width: int) -> None:
    """Tell a terminal its size, in characters."""
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
