"""The change of a process to other code in place: pid, children and descriptors stay, and nobody notices.

A child of the new code reads the real state first. What fails there, or cannot begin, is refused, and this process goes on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wherry.errors import Conflict, Failed
from wherry.linux.loop import Loop, Timer
from wherry.linux.spawn import spawn
from wherry.linux.steps import step
from wherry_engine.monitor.clients import Reply
from wherry_engine.monitor.passing import SUPERVISOR, Passed

TAKE, CHECK = "--take", "--check"
PATIENCE = 10.0  # seconds for the check


class _Request:
    """Which code is to go on, and who asks for it."""

    def __init__(self, arguments: Mapping[str, Any], reply: Reply) -> None:
        self.program: Sequence[str] = arguments["program"]
        self.code: str = arguments["code"]
        self.environment: Mapping[str, str] = arguments["environment"]
        self.reply = reply


class Upgrade:
    """One change at a time."""

    def __init__(self, loop: Loop, accepted: Callable[[], None]) -> None:
        """`accepted` is called, in a turn of the loop, when other code can go on: call `execute` then, or `refuse`."""
        self._loop, self._accepted = loop, accepted
        self._request: _Request | None = None
        self._checker = self._errors = -1  # the child, and what it says
        self._timer: Timer | None = None

    def begin(self, arguments: Mapping[str, Any], state: Passed, reply: Reply) -> None:
        """Let the new code check the state. The reply is for a refusal; else the connection ends with this code.

        Raises Conflict while another is under way; OSError and WherryError if it cannot begin.
        """
        if self._request is not None:
            raise Conflict("an upgrade is under way already")
        self._request = _Request(arguments, reply)
        self._errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        try:
            self._check(self._request, state)
        except BaseException:
            self._over()
            raise

    def _check(self, request: _Request, state: Passed) -> None:
        state.code = request.code
        memory = state.memory()
        argv = [*request.program, state.root, CHECK, "0"]
        try:
            if state.role == SUPERVISOR:
                with step("supervisor.upgrade.check"):
                    self._checker = spawn(argv, request.environment, (memory, self._errors, self._errors))
            else:
                with step("monitor.upgrade.check"):
                    self._checker = spawn(argv, request.environment, (memory, self._errors, self._errors))
        except BaseException:
            if self._checker > 0:
                os.kill(self._checker, signal.SIGKILL)  # reaped with the rest
                self._checker = -1
            raise
        finally:
            os.close(memory)
        pid = self._checker
        self._timer = self._loop.later(PATIENCE, lambda: os.kill(pid, signal.SIGKILL))  # cancelled when it is reaped

    def ended(self, pid: int, status: int) -> bool:
        """A child has ended; False if it was not the one that checks."""
        if pid != self._checker:
            return False
        self._checker = -1
        if self._timer is not None:
            self._timer.cancel()
        if status:
            self.refuse(Failed(f"the new code does not take over: {self._last_line() or f'status {status}'}"))
        else:
            self._loop.post(self._accepted)
        return True

    def __contains__(self, pid: int) -> bool:
        return pid == self._checker

    def _last_line(self) -> str:
        lines = os.pread(self._errors, 1 << 16, 0).decode("utf-8", "replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    def execute(self, state: Passed) -> None:
        """Go on as the new code. Raises OSError if that is impossible; nothing has changed then."""
        request = self._request
        assert request is not None
        state.code = request.code
        memory = state.memory()
        argv = [*request.program, state.root, TAKE, str(memory)]
        kept = [memory, *state.descriptors()]
        try:
            for fd in kept:
                os.set_inheritable(fd, True)
            if state.role == SUPERVISOR:
                with step("supervisor.upgrade.execute"):
                    os.execve(argv[0], argv, dict(request.environment))
            else:
                with step("monitor.upgrade.execute"):
                    os.execve(argv[0], argv, dict(request.environment))
        finally:
            for fd in kept:
                os.set_inheritable(fd, False)
            os.close(memory)

    def refuse(self, error: Exception) -> None:
        """It will not be."""
        assert self._request is not None
        self._request.reply.fail(error)
        self._over()

    def _over(self) -> None:
        os.close(self._errors)
        self._request, self._errors = None, -1
