"""The monitor's line to the supervisor, which keeps a copy of everything that must outlive a monitor."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from wherry.linux import sockets


class Link:
    """Messages in order; each is answered with an acknowledgement, or by the supervisor's death."""

    def __init__(self, channel: socket.socket, number: int = 0) -> None:
        """`number` is that of the last message that an earlier code has sent there."""
        self.channel = channel
        self.alive = True
        self._waiting: dict[int, Callable[[], None]] = {}
        self.number = number

    def tell(self, op: str, then: Callable[[], None] | None = None, fds: Sequence[int] = (), **arguments: Any) -> None:
        """Tell the supervisor; `then` is called when it has understood (or when there is none: we are about to be it)."""
        if not self.alive:
            if then is not None:
                then()
            return
        self.number += 1
        if then is not None:
            self._waiting[self.number] = then
        with suppress(OSError):  # it is dead: the end of the channel will tell, and promotion calls who waits
            sockets.send(self.channel, {"op": op, "number": self.number, **arguments}, fds)

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for the supervisor to have understood."""
        return bool(self._waiting)

    def acknowledged(self, number: int) -> None:
        """The supervisor has done what it was told."""
        then = self._waiting.pop(number, None)
        if then is not None:
            then()

    def lost(self) -> None:
        """There is no supervisor any more: nobody needs to wait for it."""
        self.alive = False
        waiting, self._waiting = self._waiting, {}
        for then in waiting.values():
            then()
