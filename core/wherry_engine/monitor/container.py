"""What the monitor knows of a container: its process, its descriptors, and who is attached."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from wherry.linux.loop import Timer
from wherry_engine.monitor.logfile import LogFile
from wherry_engine.monitor.lost import Lost

Meta = dict[str, Any]
"""What outlives a monitor, besides descriptors: operation, bundle, runtime, tty, stdin_once, log, slots, cgroups, attached."""


class Exit:
    """How a container's first process ended. `error` says why where the status cannot be known."""

    __slots__ = ("at_ns", "error", "status")

    def __init__(self, status: int, at_ns: int, error: str = "") -> None:
        self.status, self.at_ns, self.error = status, at_ns, error


class Stream:
    """One output of a container: a pipe. For a pty, one of ours, into which splice(2) moves what the master holds."""

    __slots__ = ("container", "fd", "gone", "into", "name", "sent", "slot", "source")

    def __init__(self, container: Container, name: str, fd: int, slot: int, source: int | None = None) -> None:
        """`source` is a pty's master. The descriptors are the stream's from now on."""
        self.container, self.name, self.fd, self.slot, self.source = container, name, fd, slot, source
        self.sent = 0  # bytes at the pipe's head that those attached have already been given
        self.gone = False  # the last holder of the pty's other side has closed it
        self.into = -1
        if source is not None:
            self.into = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_CLOEXEC)
            os.set_blocking(source, False)
        os.set_blocking(fd, False)

    @property
    def watched(self) -> int:
        """The descriptor that tells when there is something to read."""
        return self.fd if self.source is None else self.source

    @property
    def log_name(self) -> str:
        """The stream's name in the log and to those attached: a pty has but one."""
        return "stdout" if self.name == "tty" else self.name

    def close(self) -> None:
        """Close what the stream holds."""
        for fd in (self.fd, self.into, -1 if self.source is None else self.source):
            if fd >= 0:
                os.close(fd)


class Peer:
    """Our end of one attach socket pair."""

    __slots__ = ("container", "half", "pending", "sock", "stdin", "streams")

    def __init__(self, container: Container, sock: socket.socket, streams: frozenset[str], *, stdin: bool) -> None:
        self.container, self.sock, self.streams, self.stdin = container, sock, streams, stdin
        self.pending = b""  # a frame, or the rest of one, that its socket did not take
        self.half = not stdin  # whether it will say nothing more
        sock.setblocking(False)


class Container:
    """One container. The first block belongs to the command thread, the second to the thread of bytes."""

    def __init__(self, id: str, pid: int, meta: Meta, fds: Mapping[str, int]) -> None:
        """`fds` (pidfd, fifo, stdin, stdout, stderr, tty, ttypipe) are the container's from now on."""
        self.id, self.pid, self.meta = id, pid, meta
        self.pidfd = fds.get("pidfd", -1)
        self.fifo = fds.get("fifo", -1)  # our end of what its process waits at until it is started
        self.exit: Exit | None = None
        self.done: Mapping[str, Any] | None = None  # the exit as told, once the output has ended as well
        self.deadline: Timer | None = None
        self.ended: list[Callable[[], None]] = []  # called when `done` is set
        self.open_streams = 0

        self.stdin = fds.get("stdin")
        self.input = b""  # read from those attached, not yet written to the container
        self.closing: list[Callable[[], None]] = []  # called when stdin has been closed, which has been asked for
        self.peers: list[Peer] = []
        self.log: LogFile | None = None
        self.lost = Lost()
        self.waiting = False  # for the compression of the log before last
        self.streams: dict[str, Stream] = {}
        for name in ("stdout", "stderr"):
            if name in fds:
                self.streams[name] = Stream(self, name, fds[name], meta["slots"][name])
        if "tty" in fds:
            self.streams["tty"] = Stream(self, "tty", fds["ttypipe"], meta["slots"]["tty"], fds["tty"])
        self.open_streams = len(self.streams)

    @property
    def running(self) -> bool:
        """Whether its first process has not ended."""
        return self.exit is None

    @property
    def tty(self) -> bool:
        """Whether it has a terminal."""
        return bool(self.meta["tty"])

    @property
    def logged(self) -> bool:
        """Whether its output goes to a log of ours."""
        return bool(self.meta["log"]["format"] != "none")
