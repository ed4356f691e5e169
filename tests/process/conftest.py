"""Fixtures for tests of the process tree."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.process.failpoint_kit import telling
from tests.process.process_kit import BUSYBOX, Body, Scenario, tree

from wherry_engine.engine.process_upgrade import TreeCode


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with nothing but busybox."""
    root = tmp_path_factory.mktemp("rootfs")
    (root / "bin").mkdir()
    for name in ("proc", "dev", "tmp", "sys"):
        (root / name).mkdir()
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for name in (
        "sh",
        "cat",
        "echo",
        "sleep",
        "seq",
        "yes",
        "head",
        "stty",
        "ls",
        "usleep",
        "true",
        "dd",
        "tr",
        "grep",
    ):
        (root / "bin" / name).symlink_to("busybox")
    (root / "bin" / "refused").write_text("not to be executed")
    return root


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> TreeCode:
    """Code whose failpoints tell when they fire."""
    return telling(tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="session")
def told_again(tmp_path_factory: pytest.TempPathFactory) -> TreeCode:
    """Another version of that."""
    return telling(tmp_path_factory.mktemp("again"))


@pytest.fixture
def scenario(tmp_path: Path, rootfs: Path) -> Scenario:
    """Runs a coroutine function with a fresh tree; everything is gone after it, or the test fails."""

    def run(body: Body) -> None:
        asyncio.run(within(body))

    async def within(body: Body) -> None:
        async with tree(tmp_path, rootfs) as fresh:
            await body(fresh)

    return run
