"""A client program on a terminal of its own, for tests that type and look."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType


class OnTerminal:
    """A process with a pty as its stdin, stdout, stderr and controlling terminal."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], lines: int = 30, columns: int = 100
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(lines, columns)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.seen = b""

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)

    def resize(self, lines: int, columns: int) -> None:
        """Change the terminal's size; the kernel tells the process."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, data: bytes) -> None:
        """Press keys."""
        os.write(self._master, data)

    def until(self, text: bytes, seconds: float = 10) -> None:
        """Wait until `text` has been shown."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            if not select.select([self._master], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} was not shown, but {self.seen!r}")
            self.seen += os.read(self._master, 65536)

    def wait(self, seconds: float = 10) -> int:
        """The exit status; what is still to be read is seen."""
        status = self.process.wait(seconds)
        while select.select([self._master], [], [], 0.05)[0]:
            self.seen += os.read(self._master, 65536)
        return status

    def restored(self) -> bool:
        """Whether the terminal's modes are what they were before the process."""
        return termios.tcgetattr(self._slave) == self.before
