"""Command lines of Docker's client that users try in their first hour, each with the answer that dockerd gives."""

from __future__ import annotations

import os

import pytest
from tests.end_to_end.conftest import Client

pytestmark = [pytest.mark.root, pytest.mark.peer]
RUN = ("run", "-d", "--stop-signal", "KILL")
FOR_EVER = ("busybox", "sleep", "1000")


def test_an_instruction_of_commit_needs_its_value(shared: Client) -> None:
    shared.run("create", "--name", "box", "busybox")
    for change in ("ENV A", "LABEL a"):
        told = shared.fails("commit", "-c", change, "box")
        assert f"{change.split()[0]} must have two arguments" in told
    shared.run("commit", "-c", "ENV A b c", "-c", "LABEL a=", "box", "made")
    config = shared.inspect("made")["Config"]
    assert ("A=b c" in config["Env"], config["Labels"]) == (True, {"a": ""})
    shared.run("rmi", "made")


def test_a_place_that_is_not_there_cannot_be_given_up_by_force_either(shared: Client) -> None:
    shared.run("network", "create", "near")
    assert "No such container: nosuch" in shared.fails("network", "disconnect", "near", "nosuch")
    assert "endpoint nosuch not found" in shared.fails("network", "disconnect", "-f", "near", "nosuch")


def test_a_tmpfs_has_the_mode_of_the_directory_that_it_hides(shared: Client) -> None:
    shared.run(
        "run", "--name", "box", "busybox", "sh", "-c", "mkdir -m 750 /own; mkdir -m 1777 /open; ln -s /own /link"
    )
    shared.run("commit", "box", "made")
    look = ("made", "stat", "-c", "%n %a", "/own", "/open", "/new")
    for runtime in ("crun", "runc"):
        tmpfs = ("--tmpfs", "/own", "--tmpfs", "/open:size=1m", "--mount", "type=tmpfs,dst=/new")
        seen = shared.text("run", "--rm", "--runtime", runtime, *tmpfs, *look)
        assert seen.split() == ["/own", "750", "/open", "1777", "/new", "1777"]
    seen = shared.text(
        "run", "--rm", "--tmpfs", "/own:mode=700", "--mount", "type=tmpfs,dst=/open,tmpfs-mode=711", *look[:-1]
    )
    assert seen.split() == ["/own", "700", "/open", "711"]
    shared.run("rm", "box")
    shared.run("rmi", "made")


def test_what_needs_a_registry_or_a_builder_says_that_there_is_none(
    shared: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "this engine does not talk to image registries yet" in shared.fails("search", "nginx")
    assert "cannot push docker.io/library/busybox: this engine does not talk" in shared.fails("push", "busybox")
    monkeypatch.setitem(os.environ, "DOCKER_BUILDKIT", "0")
    assert "this engine does not build images yet" in shared.fails("build", "-", stdin=b"FROM busybox\n")
