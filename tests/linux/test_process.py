"""Processes that are not our children: whether they are stopped, and how they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from wherry.linux import process


def test_the_status_of_a_process_that_is_reaped_while_it_is_asked_for_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    if tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) < (6, 15):
        pytest.skip("the pidfd of a reaped process tells nothing before Linux 6.15")
    plain: Callable[[int | str], list[str] | None] = process._stat
    dying = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
    pidfd = os.pidfd_open(dying.pid)

    def reaped_first(pid: int | str) -> list[str] | None:
        dying.wait()
        return plain(pid)

    monkeypatch.setattr(process, "_stat", reaped_first)
    try:
        assert process.foreign_status(dying.pid, pidfd) == 7
    finally:
        os.close(pidfd)


def test_a_process_is_stopped_until_it_goes_on() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeping:
        try:
            assert not process.is_stopped(sleeping.pid)
            sleeping.send_signal(signal.SIGSTOP)
            late = time.monotonic() + 5
            while not process.is_stopped(sleeping.pid):
                assert time.monotonic() < late
            sleeping.send_signal(signal.SIGCONT)
            assert not process.is_stopped(sleeping.pid)
        finally:
            sleeping.kill()
    assert process.is_stopped(sleeping.pid)
