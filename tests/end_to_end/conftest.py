"""A real engine on a fresh disk, and clients of it. One engine serves a module; each test begins without objects."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from scripts.engine import ROOT, Engine, Places, workplace

from wherry.testing.fixtures import HostLedger

BUSYBOX = "busybox:latest"


@attrs.frozen
class Client:
    """One client program, talking to one engine."""

    program: str
    host: str

    def run(
        self, *words: str, status: int = 0, stdin: bytes | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command, which must end with this status."""
        environment = {**os.environ, "DOCKER_HOST": self.host, "WHERRY_HOST": self.host}
        command = [self.program, *words]
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(command, capture_output=True, env=environment, timeout=60, cwd=cwd, **given)
        assert done.returncode == status, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def text(self, *words: str, **more: Any) -> str:
        """What a command prints."""
        return self.run(*words, **more).stdout.decode()

    def fails(self, *words: str, status: int = 1, **more: Any) -> str:
        """What a command that must fail says."""
        return self.run(*words, status=status, **more).stderr.decode()

    def inspect(self, *words: str) -> Any:
        """The one object that `inspect` shows."""
        (found,) = json.loads(self.text("inspect", *words))
        return found


@pytest.fixture(scope="module")
def place() -> Iterator[Places]:
    """An engine's folders, with the engine running."""
    ledger = HostLedger()
    with workplace() as where:
        engine = Engine(where)
        try:
            yield where
            engine.stop()
        finally:
            engine.discard()
        assert where.audit.read_text() == "", "a side effect happened outside a named step"
    if lines := ledger.settled():
        pytest.fail("the engine left the host changed:\n  " + "\n  ".join(lines), pytrace=False)


@pytest.fixture(scope="module")
def busybox() -> Path:
    """The archive of the busybox image."""
    return archive("busybox")


def archive(name: str) -> Path:
    """One of the images that the project builds from Debian's packages."""
    script = [str(ROOT / ".venv/bin/python"), str(ROOT / "scripts/images.py"), name]
    return Path(subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(params=["docker", "wherry"])
def client(request: pytest.FixtureRequest, place: Places) -> Iterator[Client]:
    """Each client in turn; containers, images and volumes are gone afterwards."""
    program = str(ROOT / ".venv/bin/wherry") if request.param == "wherry" else "docker"
    made = Client(program, place.host)
    yield made
    for kind, forget in (("ps -aq", "rm -fv"), ("volume ls -q", "volume rm")):
        if found := made.text(*kind.split()).split():
            made.run(*forget.split(), *found)
    made.run("image", "prune", "-af")
