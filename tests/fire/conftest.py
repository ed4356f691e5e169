"""Engines that may burn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fire.daemon import Fire, on_fire

from wherry.testing.fixtures import HostLedger


@pytest.fixture
def fire(host_ledger: HostLedger) -> Iterator[Fire]:
    """An engine; what the test leaves in it is removed, and the host is as before."""
    with on_fire() as found:
        yield found
