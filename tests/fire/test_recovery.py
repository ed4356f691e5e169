"""What an engine finds at its start and takes over, while it undoes what an earlier one has begun."""

from __future__ import annotations

import contextlib
import http.client

import pytest
from tests.fire.daemon import Fire, Refused, eventually

pytestmark = pytest.mark.root


def _killed_in(fire: Fire, step: str, method: str, path: str) -> None:
    """The engine dies in a step of this request, and another one follows."""
    fire.arm(step, "kill")
    with contextlib.suppress(OSError, http.client.HTTPException):
        fire.api(method, path)
        pytest.fail(f"{method} {path} did not reach {step}")
    fire.kill()
    fire.start()


@pytest.mark.parametrize("step", ["container.start.bundle", "container.end.bundle"])
def test_a_volume_stays_mounted_for_those_who_run_when_another_start_or_end_is_recovered(fire: Fire, step: str) -> None:
    fire.api("POST", "/volumes/create", {"Name": "ram", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}})
    fire.api.run("one", "echo here > /data/word; exec sleep 1000", Binds=["ram:/data"])
    fire.api.create("two", Binds=["ram:/data"])
    if step == "container.end.bundle":
        fire.api("POST", "/containers/two/start")
    _killed_in(fire, step, "POST", f"/containers/two/{'kill' if 'end' in step else 'start'}")
    fire.api.run("three", "exec cat /data/word", Binds=["ram:/data"])
    eventually(lambda: fire.api.status("three") == "exited")
    assert "here" in fire.api("GET", "/containers/three/logs", stdout=1, stderr=1)


def test_an_end_that_cannot_be_recorded_at_once_is_recorded_later(fire: Fire) -> None:
    fire.arm("container.end.rootfs=error,container.end.bundle", "error")  # also when it is tried again
    fire.api.run("one", "exit 3")
    eventually(lambda: fire.api.status("one") == "exited")
    assert fire.api.inspect("one")["State"]["ExitCode"] == 3
    assert fire.api.events("one")[-1] == "die"
    assert fire.api("GET", "/wherry/check") == []


def test_a_removal_that_fails_is_finished_before_anything_else_is_done_to_the_container(fire: Fire) -> None:
    fire.arm("container.erase.folder=error,container.erase.snapshot", "error")  # also when it is tried again
    fire.api.create("one")
    with pytest.raises(Refused, match="failpoint"):
        fire.api("DELETE", "/containers/one")
    with pytest.raises(Refused, match="404 No such container"):
        fire.api("POST", "/containers/one/start")
    assert fire.api.events("one") == ["create", "destroy"]
    assert fire.api("GET", "/wherry/check") == []
