"""The supervisor's eye on its monitor: one that is stopped or wedged is as bad as a dead one, and is not reaped."""

from __future__ import annotations

from collections.abc import Callable

from wherry.linux.loop import Loop, Timer

INTERVAL = 2.0  # seconds
MISSES = 4
"""Beats in turn without a word: a monitor is given up after 8 to 10 s. Its command thread answers, which touches no log and
no path of a user's, and which an upgrade keeps from answering for a second and the start of the new code. The beats are
counted by our own ticks, so that a host or a supervisor that stood still is no sign.
"""


class Heartbeat:
    """Asks at intervals, and calls when nobody has answered for too long."""

    def __init__(self, loop: Loop, ask: Callable[[], None], silent: Callable[[], None]) -> None:
        self._loop, self._ask, self._silent = loop, ask, silent
        self._missed = 0
        self._timer: Timer | None = None

    def begin(self) -> None:
        """There is a monitor to look after."""
        self._missed = 0
        self._timer = self._loop.later(INTERVAL, self._beat)

    def end(self) -> None:
        """There is none any more."""
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """It has said something."""
        self._missed = 0

    def _beat(self) -> None:
        if self._missed >= MISSES:
            self._silent()
        self._missed += 1
        self._ask()
        self._timer = self._loop.later(INTERVAL, self._beat)
