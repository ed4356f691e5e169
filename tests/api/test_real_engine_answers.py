"""Each documented operation, asked of a real engine: its answers are as documented and have what dockerd's have.

The requests are those that were sent to dockerd when its answers were recorded, and a few that it was not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from scripts import docker_requests as requests
from scripts.docker_answers import Daemon, UnixConnection
from scripts.engine import Engine, workplace
from tests.api import openapi_checks as checks

from wherry.testing.ledger import become_subreaper, reap_orphans
from wherry_api.openapi import document, operations

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]

# Operations of which this engine has no good answer to give.
REFUSED = re.compile(r"GET /(swarm|nodes|services|tasks|secrets|configs)(/|$)|GET /plugins/\{name\}/json|POST /auth")


class Walk(Daemon):
    """A client of a real engine that judges each answer and remembers what was asked with success."""

    good: set[str]

    def _note(self, method: str, path: str, status: int, answer: bytes) -> None:
        super()._note(method, path, status, answer)
        self.faults += checks.missing_properties(method, path, answer, status)
        operation = checks.find(method, path)
        if operation is not None and status < 400:
            self.good.add(operation.key)

    def websocket(self, path: str) -> None:
        """Ask for a websocket, and leave."""
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        connection = UnixConnection(self.path)
        try:
            connection.request("GET", path, headers={**fields, "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="})
            self._note("GET", path, connection.getresponse().status, b"")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    """All requests were made of an engine, which has ended since."""
    become_subreaper()
    with workplace() as where:
        engine = Engine(where)
        walk = Walk(where.socket)
        walk.good = set()
        try:
            go(walk)
            engine.stop()
        except BaseException:
            engine.discard()
            raise
    yield walk
    reap_orphans()


def go(walk: Walk) -> None:
    requests.system_requests(walk)
    requests.image_requests(walk)
    requests.network_requests(walk)
    requests.volume_requests(walk)
    requests.container_requests(walk)
    more_requests(walk)
    requests.removal_requests(walk)
    walk.ask("POST", "/volumes/create", {})
    for method, path in operations():
        if path.endswith("/prune"):
            walk.ask(method, path)
        elif "{" in path:
            walk.ask(method, re.sub(r"\{\w+\}", "nosuch", path), {} if method == "POST" else None)


def more_requests(walk: Walk) -> None:
    """What dockerd was not asked when its answers were recorded."""
    walk.ask("GET", "/wherry/plugins")
    walk.ask("GET", "/system/df")
    walk.ask("HEAD", "/containers/full/archive?path=/bin")
    walk.ask("PUT", "/containers/full/archive?path=/", walk.ask("GET", "/containers/full/archive?path=/bin"))
    walk.ask("GET", "/containers/full/export")
    walk.ask("GET", "/containers/full/changes")
    walk.ask("POST", "/commit?container=full&repo=made")
    walk.ask("GET", "/images/get?names=made&names=busybox")
    walk.ask("GET", "/images/made/get")
    walk.ask("GET", "/images/made/history")
    walk.ask("DELETE", "/images/made")
    assert walk.ask("GET", "/wherry/check") == walk.ask("POST", "/wherry/repair") == []
    assert walk.ask("GET", "/v1.41/openapi.json") == walk.ask("GET", "/openapi.json") == document()
    walk.ask("POST", "/containers/create?name=other", requests.SPECS["plain"])
    walk.ask("POST", "/networks/plain/connect", {"Container": "other"})
    walk.ask("POST", "/networks/plain/disconnect", {"Container": "other"})
    exec_requests(walk, "other")
    walk.ask("POST", "/containers/other/rename?name=renamed")
    walk.ask("POST", "/containers/renamed/update", {"PidsLimit": 50, "RestartPolicy": {"Name": "no"}})
    walk.ask("POST", "/containers/renamed/start")
    walk.ask("POST", "/containers/renamed/pause")
    walk.ask("GET", "/containers/renamed/top")
    walk.ask("GET", "/containers/renamed/stats?stream=0&one-shot=1")
    walk.ask("POST", "/containers/renamed/unpause")
    walk.ask("DELETE", "/containers/renamed?force=1")
    walk.ask("POST", "/containers/short/attach?logs=1&stdout=1")
    walk.websocket("/containers/short/attach/ws?logs=1&stdout=1")
    walk.ask("POST", "/images/create?fromImage=localhost:1/nosuch")


def exec_requests(walk: Walk, container: str) -> None:
    """An exec on a terminal, in a container that has not been started yet."""
    walk.ask("POST", f"/containers/{container}/start")
    id = walk.ask("POST", f"/containers/{container}/exec", {"Cmd": ["sleep", "60"], "Tty": True, "User": "0"})["Id"]
    walk.ask("POST", f"/exec/{id}/start", {"Detach": True, "Tty": True})
    walk.ask("POST", f"/exec/{id}/resize?h=20&w=70")
    walk.ask("GET", f"/exec/{id}/json")
    walk.ask("GET", f"/containers/{container}/json")


def test_every_answer_is_as_documented_and_has_what_dockerd_has(walk: Walk) -> None:
    assert not sorted(set(walk.faults))


def test_every_operation_is_answered(walk: Walk) -> None:
    asked = {f"{method} {path}" for method, path in operations()}
    assert not sorted(key for key in asked - walk.good if not REFUSED.match(key))


def test_what_dockerd_shows_in_some_cases_is_shown(walk: Walk) -> None:
    seen = {
        key: {checks.join(place, name) for place, sets in places.items() for names in sets for name in names}
        for key, places in walk.seen.items()
    }
    assert not checks.never_shown(seen)
