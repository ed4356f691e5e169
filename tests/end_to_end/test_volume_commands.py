"""docker volume create, ls, inspect, rm and prune; what volumes hold at first; what is told of them."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Client

pytestmark = [pytest.mark.root, pytest.mark.peer]


def test_a_new_volume_is_listed_and_inspected(shared: Client) -> None:
    assert shared.text("volume", "create", "--label", "a=b", "mydata") == "mydata\n"
    assert shared.text("volume", "create", "mydata") == "mydata\n"
    anonymous = shared.text("volume", "create").strip()
    assert len(anonymous) == 64
    assert sorted(shared.text("volume", "ls", "-q").split()) == sorted(["mydata", anonymous])
    (found,) = json.loads(shared.text("volume", "inspect", "mydata"))
    told = {key: found[key] for key in ("Driver", "Labels", "Name", "Options", "Scope")}
    assert told == {"Driver": "local", "Labels": {"a": "b"}, "Name": "mydata", "Options": None, "Scope": "local"}
    shared.run("run", "--rm", "-v", "mydata:/d", "busybox", "touch", "/d/file")
    assert (Path(found["Mountpoint"]) / "file").exists()
    assert shared.text("volume", "inspect", "nothing", "mydata", "-f", "{{.Name}}", status=1) == "mydata\n"


def test_a_volume_in_use_stays_even_when_its_container_has_ended(shared: Client) -> None:
    id = shared.text("create", "-v", "mydata:/d", "busybox").strip()
    for force in ((), ("-f",)):
        told = shared.fails("volume", "rm", *force, "mydata")
        assert f"remove mydata: volume is in use - [{id}]" in told
    shared.run("rm", id)
    assert shared.text("volume", "rm", "mydata") == "mydata\n"
    assert "get mydata: no such volume" in shared.fails("volume", "rm", "mydata")
    assert shared.text("volume", "rm", "-f", "mydata") == "mydata\n"


def test_prune_asks_and_takes_anonymous_volumes_and_on_request_all(shared: Client) -> None:
    anonymous = shared.text("volume", "create").strip()
    shared.run("volume", "create", "--label", "keep", "named")
    shared.run("create", "-v", "used:/d", "busybox")
    assert "remove anonymous local volumes" in shared.text("volume", "prune", stdin=b"n\n")
    assert f"Deleted Volumes:\n{anonymous}\n" in shared.text("volume", "prune", stdin=b"y\n")
    assert shared.text("volume", "prune", "-f").startswith("Total reclaimed space")
    assert "named" not in shared.text("volume", "prune", "-af", "--filter", "label!=keep")
    assert "Deleted Volumes:\nnamed\n" in shared.text("volume", "prune", "-af")
    assert shared.text("volume", "ls", "-q") == "used\n"
    assert "invalid filter 'until'" in shared.fails("volume", "prune", "-f", "--filter", "until=1h")


def test_lists_take_templates_and_filters(shared: Client) -> None:
    shared.run("volume", "create", "--label", "a=b", "--label", "c", "labelled")
    shared.run("create", "-v", "used:/d", "busybox")
    for filters, found in (
        (("label=a=b", "label=c"), ["labelled"]), (("name=^us",), ["used"]), (("dangling=true",), ["labelled"]),
        (("dangling=false",), ["used"]), (("driver=local",), ["labelled", "used"]), (("label=a=z",), []),
    ):  # fmt: skip
        words = [word for each in filters for word in ("-f", each)]
        assert shared.text("volume", "ls", "-q", *words).split() == found
    line = shared.text("volume", "ls", "-f", "label=a", "--format", '{{.Name}} {{.Driver}} {{.Scope}} {{.Label "a"}}')
    assert line == "labelled local local b\n"
    assert "invalid filter 'nosuch'" in shared.fails("volume", "ls", "-f", "nosuch=1")


def test_an_empty_volume_gets_what_the_image_has_there(shared: Client, tmp_path: Path) -> None:
    script = "mkdir -m 750 /data && chown 33:33 /data && echo image > /data/file"
    shared.run("run", "--name", "base", "busybox", "sh", "-c", script)
    shared.run("commit", "base", "with-data")
    show = ("with-data", "sh", "-c", "stat -c '%a %u:%g' /data; cat /data/file")
    for words in (("-v", "/data"), ("-v", "named:/data"), ("--mount", "src=other,dst=/data")):
        assert shared.text("run", "--rm", *words, *show) == "750 33:33\nimage\n"
    shared.run("run", "--rm", "-v", "named:/d", "busybox", "sh", "-c", "echo changed > /d/file")
    assert shared.text("run", "--rm", "-v", "named:/data", *show).endswith("changed\n")
    for words in (("-v", f"{tmp_path}:/data"), ("-v", "bare:/data:nocopy"), ("--mount", "dst=/data,volume-nocopy")):
        assert shared.text("run", "--rm", *words, "with-data", "ls", "/data") == ""


def test_a_mount_makes_its_volume_with_labels_and_options(shared: Client) -> None:
    mount = "src=made,dst=/d,volume-label=k=v,volume-opt=type=tmpfs,volume-opt=device=tmpfs"
    found = shared.text("run", "--rm", "--mount", mount, "busybox", "grep", " /d ", "/proc/mounts")
    assert found.startswith("tmpfs /d tmpfs ")
    (volume,) = json.loads(shared.text("volume", "inspect", "made"))
    assert (volume["Labels"], volume["Options"]) == ({"k": "v"}, {"type": "tmpfs", "device": "tmpfs"})


def test_volumes_that_cannot_be_are_refused(shared: Client) -> None:
    for words, text in (
        (("x",), "create x: volume name is too short, names should be at least two alphanumeric characters"),
        (("a/b",), 'create a/b: "a/b" includes invalid characters for a local volume name'),
        (("-d", "nosuch", "data"), 'create data: error looking up volume plugin nosuch: plugin "nosuch" not found'),
        (("-o", "bogus=1", "data"), 'create data: invalid option: "bogus"'),
        (("-o", "type=tmpfs", "data"), 'create data: missing required option: "device"'),
        (("-o", "size=10m", "data"), "create data: quota size requested but no quota support"),
    ):
        assert text in shared.fails("volume", "create", *words)
    assert shared.text("volume", "ls", "-q") == ""
    for mount, text in (
        ("type=bogus,dst=/d", 'invalid mount config for type "bogus": mount type unknown'),
        ("type=bind,dst=/d", "field Source must not be empty"),
        ("type=volume,src=data,dst=d", "mount path must be absolute"),
    ):
        assert text in shared.fails("run", "--rm", "--mount", mount, "busybox", status=125)


def test_mounts_of_volumes_are_told_in_events(shared: Client) -> None:
    shared.run("run", "--rm", "-v", "told-of:/d:ro", "busybox", "true")
    time.sleep(1.1)  # the client asks in whole seconds
    words = ("events", "--since", "5s", "--until", "0s", "-f", "volume=told-of", "--format", "{{json .}}")
    told = [json.loads(line) for line in shared.text(*words).splitlines()]
    assert [event["Action"] for event in told] == ["create", "mount", "unmount"]
    mounted = told[1]["Actor"]["Attributes"]
    del mounted["container"]
    assert mounted == {"destination": "/d", "driver": "local", "propagation": "", "read/write": "false"}


def test_containers_that_are_created_at_once_share_what_the_first_puts_into_their_new_volume(shared: Client) -> None:
    fill = "mkdir /many; for i in $(seq 1500); do echo $i > /many/$i; done"
    shared.run("run", "--name", "filler", "busybox", "sh", "-c", fill)
    shared.run("commit", "filler", "many")
    for attempt in range(3):
        mount = f"shared{attempt}:/many"
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _, mount=mount: shared.run("create", "-v", mount, "many"), range(6)))
        count = shared.text("run", "--rm", "-v", mount, "many", "sh", "-c", "cat /many/* | wc -l")
        assert count == "1500\n"
