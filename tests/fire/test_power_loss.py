"""A loss of power at any instant: what was acknowledged is there, what is there is whole, and nothing is left over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[2]
SEED = os.environ.get("WHERRY_POWER_SEED") or str(time.time_ns())
COPIES = 20
ALONE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


def lab(root: Path, *arguments: str) -> str:
    """What the lab prints, run in namespaces of its own."""
    command = [*ALONE, sys.executable, "-m", "tests.fire.power_lab", str(root), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@contextmanager
def disk(size: str = "256M") -> Iterator[Path]:
    """A folder whose `data` is a file system on `disk/now.img`, which can be copied in an instant."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wherry-power-")))
        for name in ("disk", "data"):
            (root / name).mkdir()
        _mounted(stack, root / "xfs.img", "1G", ["mkfs.xfs", "-q", "-m", "reflink=1"], root / "disk")
        _mounted(stack, root / "disk" / "now.img", size, ["mkfs.ext4", "-q", "-F"], root / "data")
        yield root


def _mounted(stack: ExitStack, image: Path, size: str, make: list[str], target: Path) -> None:
    subprocess.run(["truncate", "-s", size, image], check=True)
    subprocess.run([*make, image], check=True)
    subprocess.run(["mount", "-o", "loop", image, target], check=True)
    stack.callback(lambda: subprocess.run(["umount", "-R", target], check=True))


def problems_after(copies: int, *bugs: str) -> list[str]:
    """What the copies of a disk under load show."""
    with disk() as root:
        lab(root, "load", str(copies), SEED, *bugs)
        found: list[str] = json.loads(lab(root, "check", *map(str, range(copies))))
        return found


def test_nothing_acknowledged_is_lost_and_nothing_committed_is_damaged() -> None:
    print(f"WHERRY_POWER_SEED={SEED}")  # noqa: T201  with it in the environment the load is the same
    assert problems_after(COPIES) == []


@pytest.mark.parametrize("bug", ["unsynced-commits", "unsynced-folders"])
def test_a_commit_that_is_not_on_the_disk_is_found(bug: str) -> None:
    assert problems_after(4, bug)
