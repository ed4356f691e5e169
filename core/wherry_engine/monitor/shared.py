"""What supervisor and monitor both hold, so that either may die: descriptors, and what they mean."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wherry_engine.monitor.container import Exit, Meta

PortRow = tuple[str, str, int, int]
"""protocol, host address, host port, container port"""


class Shared:
    """Made once by the first supervisor; every later supervisor and monitor inherits it by fork or through execve."""

    def __init__(
        self,
        root: str,
        code: str,
        environment: Mapping[str, str],
        supervisor: socket.socket,
        monitor: socket.socket,
        bin: int,
        progress: int,
    ) -> None:
        self.root, self.environment = root, environment
        self.code = code  # which code this process runs, in the words of the engine that has started it
        self.supervisor, self.monitor = supervisor, monitor  # both listeners: a client finds an open door at any time
        self.bin, self.progress = bin, progress

    def fds(self) -> Iterator[int]:
        """Every descriptor."""
        yield from (self.supervisor.fileno(), self.monitor.fileno(), self.bin, self.progress)


class Attached:
    """One of those attached, as it goes through execve."""

    def __init__(self, fd: int, streams: Sequence[str], *, stdin: bool, half: bool, pending: bytes) -> None:
        self.fd, self.streams, self.stdin, self.half, self.pending = fd, streams, stdin, half, pending


class Carried:
    """What of a container outlives an upgrade of its monitor, while the monitor's death ends it."""

    def __init__(self, attached: Sequence[Attached], sent: Mapping[str, int], input: bytes, *, closing: bool) -> None:
        self.attached, self.sent = attached, sent  # bytes at each pipe's head that those attached have
        self.input, self.closing = input, closing  # not written to stdin yet; whether it is to be closed after that


class Held:
    """A container as it outlives a monitor. A pid of 0: its creation has begun, and nobody knows how far it came."""

    def __init__(self, id: str, pid: int, meta: Meta, fds: dict[str, int]) -> None:
        self.id, self.pid, self.meta, self.fds = id, pid, meta, fds
        self.exit: Exit | None = None
        self.done: Mapping[str, Any] | None = None
        self.carried: Carried | None = None

    def let_go(self) -> None:
        """Close its descriptors."""
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}


Ports = dict[str, dict[PortRow, int]]
"""The sockets that reserve published ports, by owner."""
