"""Disk usage and prunes by Docker's own client and by ours, on the same daemon: the same output, the same requests."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from tests.cli.client import Client, Ran
from tests.cli.fake_daemon import FakeDaemon, Request
from tests.cli.fake_data import container, ident, image, sha
from tests.cli.test_against_docker import renamed

pytestmark = pytest.mark.peer

DF = """
system df
system df -v
system df --format json
system df --format '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}'
system df --format 'table {{.Type}}\\t{{.Reclaimable}}'
""".strip().splitlines()

PRUNES = """
container prune
container prune -f --filter until=24h --filter label=a
image prune
image prune -a
image prune -f --filter label!=keep
image prune -af
network prune
network prune -f
volume prune
volume prune -a
volume prune -f --filter label=x
volume prune -af
volume prune -af --filter all=1
system prune
system prune -a --volumes
system prune --filter label=b --filter label!=a
system prune -f
system prune -f --filter label=x
system prune -af --volumes
system prune --volumes --filter until=1h
system prune x
""".strip().splitlines()


def volume(name: str, size: int, users: int) -> dict[str, Any]:
    return {
        "Name": name, "Driver": "local", "Scope": "local", "Mountpoint": f"/v/{name}", "Labels": None, "Options": None,
        "CreatedAt": "2026-01-02T03:04:05Z", "UsageData": {"Size": size, "RefCount": users},
    }  # fmt: skip


def usage(*, empty: bool) -> dict[str, Any]:
    if empty:
        return {"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": []}
    return {
        "LayersSize": 7_400_123,
        "Images": [
            image("1", Size=4_400_000, SharedSize=1_000_000, Containers=2),
            image("2", Size=4_000_123, SharedSize=1_000_000, Containers=0),
        ],
        "Containers": [
            container("1", SizeRw=12_345, SizeRootFs=4_412_345),
            container("2", State="exited", SizeRw=500, SizeRootFs=4_400_500),
        ],
        "Volumes": [volume("data", 123_456, 1), volume("old", 77, 0), volume("remote", -1, 0)],
        "BuildCache": [],
    }


@pytest.mark.parametrize("empty", [False, True], ids=["full", "empty"])
@pytest.mark.parametrize("line", DF)
def test_usage_is_shown_as_docker_shows_it(
    daemon: FakeDaemon, wherry: Client, docker: Client, line: str, empty: bool
) -> None:
    daemon.on("GET", "/system/df", usage(empty=empty))
    assert wherry(*shlex.split(line)) == renamed(docker(*shlex.split(line)))


@pytest.fixture(autouse=True)
def _prunes(daemon: FakeDaemon) -> None:
    daemon.on("POST", "/containers/prune", {"ContainersDeleted": [ident("1")], "SpaceReclaimed": 1234})
    images = [{"Untagged": "a:b"}, {"Deleted": sha("1")}]
    daemon.on("POST", "/images/prune", {"ImagesDeleted": images, "SpaceReclaimed": 5_000_000})
    daemon.on("POST", "/networks/prune", {"NetworksDeleted": ["n1", "n2"]})
    daemon.on("POST", "/volumes/prune", {"VolumesDeleted": None, "SpaceReclaimed": 0})
    daemon.on("POST", "/build/prune", {"CachesDeleted": None, "SpaceReclaimed": 0})


def _asked(daemon: FakeDaemon, ran: Ran, since: int) -> tuple[Ran, list[tuple[str, Any]]]:
    def filters(request: Request) -> Any:
        return json.loads(request.query.get("filters") or "{}")

    requests = [r for r in daemon.requests[since:] if r.method == "POST" and r.path != "/build/prune"]
    return ran, [(r.path, filters(r)) for r in requests]


@pytest.mark.parametrize("answer", [b"", b"n\n", b"yes\n", b"Y\n"], ids=["nothing", "no", "yes", "y"])
@pytest.mark.parametrize("line", PRUNES)
def test_prunes_ask_for_and_tell_what_docker_does(
    daemon: FakeDaemon, wherry: Client, docker: Client, line: str, answer: bytes
) -> None:
    theirs = _asked(daemon, renamed(docker(*shlex.split(line), stdin=answer)), 0)
    since = len(daemon.requests)
    ours = _asked(daemon, wherry(*shlex.split(line), stdin=answer), since)
    assert ours == theirs
