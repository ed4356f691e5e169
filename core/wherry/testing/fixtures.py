"""A pytest plugin: the fixture `host_ledger`, which fails a test that leaves the host other than it found it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from wherry.testing import tasks
from wherry.testing.ledger import Ledger, become_subreaper, reap_orphans

PATIENCE = 5.0  # seconds in which what ends by itself may end


class HostLedger:
    """The host before the test. `watch` widens it by what the test names: folders, databases, processes."""

    def __init__(self) -> None:
        become_subreaper()
        self._spare = [process.pid for process in tasks.descendants(os.getpid())]
        self._watched: list[tuple[Callable[[], Ledger], Ledger]] = []
        self.watch()

    def watch(self, *, roots: Sequence[Path] = (), databases: Sequence[Path] = (), pids: Sequence[int] = ()) -> None:
        """From now on mind the files below `roots`, the rows of `databases` and the descriptors of `pids` too."""

        def take() -> Ledger:
            return Ledger.take(roots, databases=databases, pids=pids)

        self._watched.append((take, take()))

    def differences(self) -> list[str]:
        """What is not as it was, at this moment."""
        reap_orphans(self._spare)
        return list(dict.fromkeys(line for take, before in self._watched for line in before.differences(take())))

    def settled(self, patience: float = PATIENCE) -> list[str]:
        """What is still not as it was after at most `patience` seconds."""
        end = time.monotonic() + patience
        while (lines := self.differences()) and time.monotonic() < end:
            time.sleep(0.05)
        return lines


@pytest.fixture
def host_ledger() -> Iterator[HostLedger]:
    """The host must be after the test what it was before; five seconds are granted."""
    ledger = HostLedger()
    yield ledger
    if lines := ledger.settled():
        pytest.fail("the test left the host changed:\n  " + "\n  ".join(lines), pytrace=False)
