"""The groups above containers, when the engine is killed, checked and ended, and when it is configured to have one itself."""

from __future__ import annotations

import os
import signal

import pytest
from tests.end_to_end.conftest import Client
from tests.end_to_end.daemon_lab import lab
from tests.end_to_end.group_kit import QUICK, group_of, places
from tests.fire.daemon import Api

from wherry.linux import cgroups
from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.timeout(120)]


def test_a_container_and_the_groups_above_it_outlive_a_killed_engine(host_ledger: HostLedger, group_name: str) -> None:
    with lab({}) as made:
        for container in ("ends", "stays"):
            made.docker("run", "-d", "--name", container, "--cgroup-parent", f"{group_name}/{container}", *QUICK)
        pids = {each: made.shows("inspect", each)["State"]["Pid"] for each in ("ends", "stays")}
        made.engine.kill()
        os.kill(pids["ends"], signal.SIGKILL)
        made.start({})
        assert made.docker("wait", "ends") == "137"
        assert made.shows("inspect", "stays")["State"]["Pid"] == pids["stays"]
        made.docker("pause", "stays")
        made.docker("unpause", "stays")
        made.docker("rm", "ends")
        assert (places(f"{group_name}/ends"), len(places(f"{group_name}/stays")) > 0) == ([], True)
        assert Api(made.where.socket)("GET", "/wherry/check") == []
        made.docker("rm", "-f", "stays")
        assert places(group_name) == []


def test_a_check_finds_the_group_of_a_container_that_does_not_run(host_ledger: HostLedger, group_name: str) -> None:
    with lab({}) as made:
        id = made.docker("create", "--cgroup-parent", group_name, *QUICK)
        left = cgroups.hierarchies()[0] / group_name / id
        left.mkdir(parents=True)
        api = Api(made.where.socket)
        (found,) = api("GET", "/wherry/check")
        assert (found["Kind"], found["Object"]) == ("control group", f"/{group_name}/{id}")
        (mended,) = api("POST", "/wherry/repair")
        assert (mended["Mended"], left.exists()) == (True, False)
        left.parent.rmdir()


def test_the_configured_group_is_for_containers_that_name_none_and_goes_with_the_engine(
    host_ledger: HostLedger, group_name: str
) -> None:
    other = f"{group_name}-other"
    with lab({"cgroup-parent": f"{group_name}/deep"}) as made:
        docker = Client("docker", made.where.host)
        for container, words in (("plain", ()), ("own", ("--cgroup-parent", other))):
            docker.run("run", "-d", "--name", container, *words, *QUICK)
        (group,) = group_of(docker, "plain")
        assert group.startswith(f"/{group_name}/deep/wherry-")
        own = docker.text("ps", "-q", "--no-trunc", "-f", "name=own").strip()
        assert group_of(docker, "own") == {f"/{other}/{own}"}
        docker.run("rm", "-f", "own", "plain")
        assert places(other) == []
        assert places(f"{group_name}/deep") != []
    assert places(group_name) == []


def test_a_configured_group_that_was_there_stays(group_name: str) -> None:
    mine = cgroups.hierarchies()[0] / group_name
    mine.mkdir()
    with lab({"cgroup-parent": group_name}) as made:
        made.docker("run", "--rm", "busybox", "true")
        assert list(mine.glob("wherry-*"))
    assert places(group_name) == [mine]
    assert not list(mine.glob("wherry-*"))
    mine.rmdir()
