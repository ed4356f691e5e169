"""A real engine on a fresh disk, and clients of it. One engine serves a module; each test begins without objects."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from scripts import images
from scripts.engine import ROOT, Engine, Places, remove_cgroups, workplace

from wherry.testing.fixtures import HostLedger


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
def engines() -> Iterator[Callable[[str], Places]]:
    """Gives the folders of a running engine with this storage driver; each is started when it is first asked for."""
    ledger, running = HostLedger(), dict[str, tuple[Engine, Places]]()
    with ExitStack() as stack:

        def place(storage: str) -> Places:
            if storage not in running:
                where = stack.enter_context(workplace())
                engine = Engine(where, arguments=("--storage-driver", storage))
                stack.callback(engine.discard)
                running[storage] = engine, where
            return running[storage][1]

        yield place
        for engine, where in running.values():
            engine.stop()
            assert where.audit.read_text() == "", "a side effect happened outside a named step"
    if lines := ledger.settled():
        pytest.fail("the engine left the host changed:\n  " + "\n  ".join(lines), pytrace=False)


@pytest.fixture
def group_name() -> Iterator[str]:
    """A control group's that nobody has."""
    made = f"parent-{secrets.token_hex(4)}"
    yield made
    remove_cgroups(made)


@pytest.fixture
def docker(host_ledger: HostLedger) -> Iterator[list[str]]:
    """The command line of Docker's client for an engine of the test's own, which has the image busybox."""
    with workplace() as where:
        engine = Engine(where)
        try:
            command = ["docker", "-H", where.host]
            subprocess.run([*command, "load", "-q", "-i", images.busybox()], check=True, capture_output=True)
            yield command
            engine.stop()
        finally:
            engine.discard()


@pytest.fixture
def shared(engines: Callable[[str], Places]) -> Iterator[Client]:
    """Docker's client of the module's engine, which has busybox; what a test makes is gone afterwards."""
    made = Client("docker", engines("overlay2").host)
    if not made.text("images", "-q", "busybox"):
        made.run("load", "-qi", str(images.busybox()))
    yield made
    if containers := made.text("ps", "-aq").split():
        made.run("rm", "-fv", *containers)
    made.run("network", "prune", "-f")
    made.run("volume", "prune", "-af")


def archive(name: str) -> Path:
    """One of the images that the project builds from Debian's packages."""
    script = [str(ROOT / ".venv/bin/python"), str(ROOT / "scripts/images.py"), name]
    return Path(subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(params=["docker-overlay2", "wherry-overlay2", "wherry-vfs"])
def client(request: pytest.FixtureRequest, engines: Callable[[str], Places]) -> Iterator[Client]:
    """Each client in turn, and each storage driver; containers, images and volumes are gone afterwards."""
    name, _, storage = request.param.partition("-")
    program = str(ROOT / ".venv/bin/wherry") if name == "wherry" else name
    made = Client(program, engines(storage).host)
    yield made
    for kind, forget in (("ps -aq", "rm -fv"), ("volume ls -q", "volume rm")):
        if found := made.text(*kind.split()).split():
            made.run(*forget.split(), *found)
    made.run("image", "prune", "-af")
