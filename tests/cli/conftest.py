"""A fake daemon that knows a few things, and both clients run against it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.cli.client import Client
from tests.cli.fake_daemon import FakeDaemon, Reply, Request
from tests.cli.fake_data import CONTAINERS, IMAGES, INFO, INSPECTED, NETWORKS, SERVER_VERSION, VOLUMES


def _missing(kind: str) -> Callable[[Request], Reply]:
    return lambda request: Reply(404, {"message": f"No such {kind}: {request.path.split('/')[2]}"})


def serve(path: Path) -> FakeDaemon:
    """A fake daemon with the canned data."""
    daemon = FakeDaemon(path)
    daemon.on("HEAD", "/_ping", Reply(200, "OK"))
    daemon.on("GET", "/_ping", Reply(200, "OK"))
    daemon.on("GET", "/version", SERVER_VERSION)
    daemon.on("GET", "/info", INFO)
    daemon.on("GET", "/containers/json", CONTAINERS)
    daemon.on("GET", "/images/json", IMAGES)
    daemon.on("GET", "/networks", NETWORKS)
    daemon.on("GET", "/volumes", {"Volumes": VOLUMES, "Warnings": None})
    for kind, route in (("container", "containers"), ("image", "images")):
        daemon.on(
            "GET",
            f"/{route}/[^/]+/json",
            _missing(kind),
        )
    daemon.on("GET", "/networks/.+", lambda r: Reply(404, {"message": f"network {r.path.split('/')[2]} not found"}))
    daemon.on("GET", "/volumes/.+", lambda r: Reply(404, {"message": f"get {r.path.split('/')[2]}: no such volume"}))
    daemon.on(
        "GET",
        "/(nodes|services|tasks|secrets|configs)/.+",
        Reply(503, {"message": "This node is not a swarm manager."}),
    )
    daemon.on(
        "GET", "/plugins/.+/json", lambda r: Reply(404, {"message": f'plugin "{r.path.split("/")[2]}" not found'})
    )
    daemon.on("GET", "/containers/(box-1|1012.*|web)/json", INSPECTED)
    daemon.on("GET", "/networks/bridge", cast(dict[str, Any], NETWORKS[0]))
    daemon.on("GET", "/volumes/data", cast(dict[str, Any], VOLUMES[0]))
    return daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A fake daemon."""
    fake = serve(tmp_path / "fake.sock")
    yield fake
    fake.close()


@pytest.fixture
def wherry(daemon: FakeDaemon) -> Client:
    """The wherry command against the fake daemon."""
    return Client([str(Path(sys.executable).with_name("wherry")), "-H", daemon.url], "wherry")


@pytest.fixture
def docker(daemon: FakeDaemon) -> Client:
    """Docker's own client against the fake daemon."""
    program = shutil.which("docker")
    assert program, "tests marked peer need Docker's client: run scripts/bootstrap"
    return Client([program, "-H", daemon.url], "docker")
