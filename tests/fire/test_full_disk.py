"""A data root with 0 bytes free, and a container that takes every block which somebody else gives back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripts.engine import ROOT, Engine, places, unmount_below
from scripts.images import busybox
from tests.fire.power_lab import damaged

from wherry.testing.fixtures import HostLedger
from wherry.testing.ledger import become_subreaper

pytestmark = [pytest.mark.root, pytest.mark.slow]
GREEDY = "while :; do cat /dev/zero >> /fill; echo x >> /fill; done 2>/dev/null"


class Host:
    """An engine on a small disk of its own, and its command line."""

    def __init__(self, top: Path) -> None:
        self.places = places(top)
        self.data = self.places.data
        self.engine = Engine(self.places)

    def wherry(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "WHERRY_HOST": self.places.host}
        command = [str(ROOT / ".venv/bin/wherry"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def do(self, *arguments: str) -> str:
        done = self.wherry(*arguments)
        assert done.returncode == 0, f"wherry {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def refused(self, *arguments: str) -> str:
        """The error of a command that must fail for want of space, and that must leave nothing."""
        before = self.everything()
        done = self.wherry(*arguments)
        assert done.returncode, f"wherry {' '.join(arguments)} succeeded"
        assert self.everything() == before
        return done.stderr

    def everything(self) -> set[str]:
        """All objects, and what the data root holds for them."""
        listed = [
            self.do("ps", "-aq"),
            self.do("images", "-q"),
            self.do("volume", "ls", "-q"),
            self.do("network", "ls", "-q"),
        ]
        folders = [f"storage/overlay2/{name}" for name in ("active", "committed", "new")]
        folders += ["containers", "mounts", "images/tmp", "images/blobs/sha256", "volume/local", "volume/local/.new"]
        kept = {f"{folder}/{name}" for folder in folders for name in os.listdir(self.data / folder)}
        return kept | set("\n".join(listed).split())

    def free(self) -> int:
        found = os.statvfs(self.data)
        return found.f_bavail * found.f_frsize

    def stop(self) -> None:
        self.engine.stop()

    def start(self) -> None:
        self.engine = Engine(self.places)


@pytest.fixture
def host(host_ledger: HostLedger) -> Iterator[Host]:
    become_subreaper()
    with tempfile.TemporaryDirectory(prefix="wherry-full-") as folder:
        top = Path(folder)
        (top / "data").mkdir()
        subprocess.run(["truncate", "-s", "64M", top / "disk.img"], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", top / "disk.img"], check=True)
        subprocess.run(["mount", "-o", "loop", top / "disk.img", top / "data"], check=True)
        try:
            host = Host(top)
            try:
                host.do("load", "-q", "-i", str(busybox()))
                yield host
                host.stop()
                check_what_is_left(host)
            finally:
                host.engine.discard()
        finally:
            unmount_below(top)


def check_what_is_left(host: Host) -> None:
    assert damaged(host.data) == []
    with contextlib.closing(sqlite3.connect(host.data / "wherry.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM object WHERE kind = 'intent'").fetchone() == (0,)


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_making_fails_cleanly_and_removing_works_at_zero_bytes_free(host: Host) -> None:
    host.do("create", "--name", "stopped", "busybox", "true")
    host.do("run", "-d", "--name", "running", "busybox", "sleep", "1000")
    host.do("volume", "create", "data")
    host.do("volume", "create", "unused")
    host.do("network", "create", "net")
    host.do("tag", "busybox", "other")
    host.do("run", "-d", "--name", "greedy", "--network", "none", "busybox", "sh", "-c", GREEDY)
    until(lambda: host.free() == 0, "the disk does not fill")

    for made in (["create", "busybox"], ["run", "busybox", "true"], ["volume", "create", "more"]):
        error = host.refused(*made)
        assert "no space left on device" in error
        assert str(host.data) in error
        assert "remove containers, images or volumes" in error
    (bigger := host.places.top / "bigger.tar").write_bytes(busybox().read_bytes() + bytes(10240))
    assert "no space left on device" in host.refused("load", "-q", "-i", str(bigger))

    assert host.free() == 0
    for removed in (["rm", "stopped"], ["volume", "rm", "data"], ["network", "rm", "net"], ["rmi", "other"]):
        host.do(*removed)
    host.do("volume", "prune", "-af")
    assert host.do("volume", "ls", "-q") == ""
    assert host.do("ps", "-a", "--format", "{{.Names}}").split() == ["greedy", "running"]
    host.stop()
    host.start()
    host.engine.kill()
    host.start()
    assert host.do("ps", "--format", "{{.Names}}").split() == ["greedy", "running"]
    until(lambda: host.free() == 0, "the disk is not full any more")
    host.do("rm", "-f", "running")
    until(lambda: host.free() == 0, "the disk is not full any more")
    host.do("rm", "-f", "greedy")

    assert host.free() > 20_000_000
    assert host.do("run", "--rm", "busybox", "echo", "again") == "again"
    host.do("volume", "create", "more")
    host.do("rmi", "busybox")
    assert host.do("images", "-q") == ""
    host.do("volume", "rm", "more")


def test_output_that_finds_no_room_is_counted_in_the_log_and_the_container_goes_on(host: Host) -> None:
    total = 20_000_000
    ballast = host.data / "ballast"
    ballast.write_bytes(bytes(4 << 20))
    script = (
        f"trap 'echo end; exit 3' USR1; yes 123456789 | head -c {total}; : > /written; while :; do sleep 0.05; done"
    )
    id = host.do("run", "-d", "--name", "talks", "--network", "none", "busybox", "sh", "-c", script)
    until((host.data / "mounts" / id / "written").exists, "the container does not go on")
    assert host.do("logs", "--tail", "2", "talks") == "123456789\n123456789"

    ballast.unlink()
    host.do("kill", "-s", "USR1", "talks")
    assert host.do("wait", "talks") == "3"
    log = host.data / "containers" / id / f"{id}-json.log"
    records = [json.loads(line)["log"] for line in log.read_text().splitlines()]
    gaps = [re.fullmatch(r"wherry: (\d+) bytes of output are missing here, the disk was full\n", r) for r in records]
    lost = sum(int(gap[1]) for gap in gaps if gap)
    assert lost > 1_000_000
    assert lost + sum(len(r) for r, gap in zip(records, gaps, strict=True) if not gap) == total + len("end\n")
    assert host.do("logs", "--tail", "1", "talks") == "end"
    host.do("rm", "talks")
    host.do("rmi", "busybox")
