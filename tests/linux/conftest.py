"""Folders on file systems of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.linux.mounts import mount, mounts, unmount


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A fresh tmpfs; whatever a test mounted below it is unmounted at the end."""
    target = tmp_path / "tmpfs"
    target.mkdir()
    mount("tmpfs", "tmpfs", str(target), ("mode=755",))
    yield target
    for info in reversed(mounts(os.path.realpath(target))):
        unmount(info.target)
