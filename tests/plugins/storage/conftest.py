"""Roots on file systems of their own, and the driver that lives there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wherry.linux.mounts import mount, mounts, unmount
from wherry.spec.base import Context
from wherry.spec.storage import StorageDriver
from wherry_engine.loader.load import Driver, load_driver

Load = Callable[[], Driver[StorageDriver]]


@pytest.fixture(params=["tmpfs", "ext4"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A fresh file system, with folders `root` for the driver and `shown` to mount on."""
    target = tmp_path / "base"
    target.mkdir()
    if request.param == "tmpfs":
        mount("tmpfs", "tmpfs", str(target))
    else:
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-qF", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, target], check=True)
    for name in ("root", "shown"):
        (target / name).mkdir()
    yield target
    for info in reversed(mounts(os.path.realpath(target))):
        unmount(info.target)


@pytest.fixture
def load(base: Path) -> Load:
    """Load the driver on `base/root`, as an engine that starts."""

    def place(config: Any) -> Context:
        return Context(base / "root", base / "run", "t", config)

    return lambda: load_driver(StorageDriver, "overlay2", place)


@pytest.fixture
def storage(load: Load) -> Driver[StorageDriver]:
    """The driver, loaded once."""
    return load()
