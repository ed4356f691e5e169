"""Console sockets: how an OCI runtime hands over the terminal that it has made for a process."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import struct
import termios
from contextlib import suppress

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


def resize(tty: int, height: int, width: int) -> None:
    """Tell a terminal its size, in characters."""
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
