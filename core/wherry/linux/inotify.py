"""Watching folders for what happens to their files. See inotify(7)."""

from __future__ import annotations

import os
import struct
from types import TracebackType
from typing import NamedTuple

from wherry.linux.syscalls import call

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
OVERFLOW = 0x4000  # the kernel dropped events
_HEAD = struct.Struct("=iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_BUFFER = 1 << 16


class Event(NamedTuple):
    """What happened (a mask of one or more of the constants above) to which file of a watched folder."""

    mask: int
    name: str


class Inotify:
    """One descriptor with its watches. Raises OSError (EMFILE) when this user has as many as the kernel allows."""

    def __init__(self) -> None:
        self.fd = call("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self, folder: str, mask: int) -> None:
        """Report what `mask` names for each file in the folder."""
        call("inotify_add_watch", self.fd, folder, mask)

    def read(self) -> list[Event]:
        """All events since the last call, without waiting."""
        events: list[Event] = []
        while True:
            try:
                data = os.read(self.fd, _BUFFER)
            except BlockingIOError:
                return events
            position = 0
            while position < len(data):
                _, mask, _, length = _HEAD.unpack_from(data, position)
                position += _HEAD.size
                name = data[position : position + length].rstrip(b"\0")
                events.append(Event(mask, os.fsdecode(name)))
                position += length

    def close(self) -> None:
        """Give up the descriptor; may be repeated."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Inotify:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
