"""Command lines of Docker's client that users try in their first hour, each with the answer that dockerd gives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Client

from wherry.linux.mounts import make_private, make_shared, mount, unmount

pytestmark = [pytest.mark.root, pytest.mark.peer]
RUN = ("run", "-d", "--stop-signal", "KILL")
FOR_EVER = ("busybox", "sleep", "1000")


def test_an_instruction_of_commit_needs_its_value(shared: Client) -> None:
    shared.run("create", "--name", "box", "busybox")
    for change in ("ENV A", "LABEL a"):
        told = shared.fails("commit", "-c", change, "box")
        assert f"{change.split()[0]} must have two arguments" in told
    for change in ("USER", "STOPSIGNAL"):
        assert f"{change} requires exactly one argument" in shared.fails("commit", "-c", change, "box")
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


def test_a_bind_propagates_only_where_the_mount_below_it_does(shared: Client, tmp_path: Path) -> None:
    run = ("run", "--rm", "busybox", "true")
    mount("tmpfs", "tmpfs", str(tmp_path), ())
    try:
        make_private(str(tmp_path))
        for mode, what in (("rshared", "a shared"), ("shared", "a shared"), ("rslave", "a shared or slave")):
            told = shared.fails(*run[:2], "-v", f"{tmp_path}:/x:{mode}", *run[2:], status=125)
            assert f"path {tmp_path} is mounted on {tmp_path} but it is not {what} mount" in told
        shared.run(*run[:2], "-v", f"{tmp_path}:/x:rprivate", *run[2:])
        make_shared(str(tmp_path))
        for mode in ("rshared", "rslave"):
            shared.run(*run[:2], "--mount", f"type=bind,src={tmp_path},dst=/x,bind-propagation={mode}", *run[2:])
    finally:
        unmount(str(tmp_path))


def test_a_volume_that_cannot_be_mounted_says_what_and_why(shared: Client) -> None:
    options = ("-o", "type=none", "-o", "o=bind", "-o", "device=/nosuch")
    shared.run("volume", "create", *options, "lost")
    told = shared.fails("run", "--rm", "-v", "lost:/x", "busybox", "true", status=127)  # by these last words
    where = shared.text("volume", "inspect", "lost", "-f", "{{.Mountpoint}}").strip()
    assert f"error while mounting volume '{where}': mount /nosuch on {where}: no such file or directory" in told
    shared.run("volume", "rm", "lost")


def test_what_needs_a_registry_or_a_builder_says_that_there_is_none(
    shared: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "this engine does not talk to image registries yet" in shared.fails("search", "nginx")
    assert "cannot push docker.io/library/busybox: this engine does not talk" in shared.fails("push", "busybox")
    monkeypatch.setitem(os.environ, "DOCKER_BUILDKIT", "0")
    assert "this engine does not build images yet" in shared.fails("build", "-", stdin=b"FROM busybox\n")
