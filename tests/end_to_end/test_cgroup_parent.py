"""Where `--cgroup-parent` and the key `cgroup-parent` put containers, by Docker's client, and what stays of it: nothing."""

from __future__ import annotations

import pytest
from tests.end_to_end.conftest import Client
from tests.end_to_end.group_kit import QUICK, group_of, places
from tests.end_to_end.test_run_options import limit

from wherry.linux import cgroups

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.timeout(120)]


@pytest.mark.parametrize("form", ["/{}/deep", "{}/deep", "//{}//deep/"])
def test_a_container_is_below_the_group_it_names_and_is_looked_after_there(
    shared: Client, group_name: str, form: str
) -> None:
    id = shared.text("run", "-d", "--name", "low", "--cgroup-parent", form.format(group_name), *QUICK).strip()
    assert group_of(shared, "low") == {f"/{group_name}/deep/{id}"}
    assert shared.inspect("low")["HostConfig"]["CgroupParent"] == form.format(group_name)
    shared.run("update", "--pids-limit", "77", "low")
    assert limit(shared, "low", "pids.max", "pids.max") == "77"
    shared.run("pause", "low")
    freezer = cgroups.folder("freezer", f"{group_name}/deep/{id}")
    state = freezer / ("freezer.state" if cgroups.version() == 1 else "cgroup.freeze")
    assert state.read_text().strip() in ("FROZEN", "1")
    shared.run("unpause", "low")
    assert "sleep 1000" in shared.text("top", "low")
    assert shared.text("stats", "--no-stream", "--format", "{{.PIDs}}", "low").strip() == "1"
    path = "cat /proc/self/cgroup"
    assert f"/{group_name}/deep/{id}\n" in shared.text("exec", "low", "sh", "-c", path)
    shared.run("restart", "low")
    assert group_of(shared, "low") == {f"/{group_name}/deep/{id}"}
    shared.run("stop", "low")
    assert places(group_name) == []
    shared.run("rm", "low")


def test_the_topmost_group_can_be_named_too(shared: Client) -> None:
    id = shared.text("run", "-d", "--name", "top", "--cgroup-parent", "/", *QUICK).strip()
    assert group_of(shared, "top") == {f"/{id}"}
    shared.run("rm", "-f", "top")
    assert places(id) == []


def test_a_limit_of_the_group_above_holds_for_all_below_it(shared: Client, group_name: str) -> None:
    group = cgroups.folder("pids", group_name)
    group.mkdir()
    (group / "pids.max").write_text("1")
    many = ("busybox", "sh", "-c", "sleep 1 & wait")
    assert "can't fork" in shared.fails("run", "--rm", "--cgroup-parent", group_name, *many, status=2)
    group.rmdir()
    shared.run("run", "--rm", "--cgroup-parent", group_name, *many)


def test_only_what_was_made_for_containers_is_removed_with_the_last_of_them(shared: Client, group_name: str) -> None:
    mine = cgroups.hierarchies()[0] / group_name
    mine.mkdir()
    for container in ("one", "two"):
        shared.run("run", "-d", "--name", container, "--cgroup-parent", f"{group_name}/sub", *QUICK)
    assert len(places(f"{group_name}/sub")) > 1 or cgroups.version() == 2
    shared.run("rm", "-f", "one")
    assert mine / "sub" in places(f"{group_name}/sub")
    shared.run("rm", "-f", "two")
    assert places(group_name) == [mine]
    assert not (mine / "sub").exists()
    mine.rmdir()


def test_a_path_that_is_no_group_is_refused(shared: Client, group_name: str) -> None:
    for bad in ("../up", "/a/../b", "/a/./b", "a\nb", "x" * 256):
        said = shared.fails("create", "--cgroup-parent", bad, "busybox", status=1)
        assert "invalid cgroup parent" in said
        assert "it must be the path of a control group, as /containers" in said
    procs = "/cgroup.procs"
    said = shared.fails("run", "--name", "none", "--cgroup-parent", procs, "busybox", "true", status=125)
    assert "cgroup" in said
    assert shared.inspect("none")["State"]["Status"] == "created"
    assert shared.text("ps", "-aq") != ""
    shared.run("rm", "none")
    assert shared.text("ps", "-aq") == ""


def test_a_group_that_ends_with_a_container_holds_no_other(shared: Client, group_name: str) -> None:
    first = shared.text("run", "-d", "--name", "first", *QUICK).strip()
    low = shared.text("run", "-d", "--name", "low", "--cgroup-parent", group_name, *QUICK).strip()
    (own,) = group_of(shared, "first")
    for inside in (own, f"{own}/deeper", own.replace(first, "another"), f"/{group_name}/{low}"):
        said = shared.fails("create", "--cgroup-parent", inside, "busybox")
        assert "it is inside a group that this engine removes with a container" in said
    shared.run("run", "--rm", "--cgroup-parent", own.rpartition("/")[0], "busybox", "true")
    shared.run("rm", "-f", "low")
