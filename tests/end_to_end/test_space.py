"""What things take on the disk, and removing what nobody uses, on a real engine."""

from __future__ import annotations

import json
import subprocess

import pytest

pytestmark = [pytest.mark.root, pytest.mark.peer]


def run(docker: list[str], *words: str) -> list[str]:
    done = subprocess.run([*docker, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def usage(docker: list[str]) -> dict[str, dict[str, str]]:
    return {row["Type"]: row for row in map(json.loads, run(docker, "system", "df", "--format", "json"))}


def test_volumes_that_nobody_uses_are_counted_and_pruned(docker: list[str]) -> None:
    (anonymous,) = run(docker, "create", "-v", "/anon", "busybox")
    run(docker, "rm", anonymous)  # its volume stays
    (unused,) = run(docker, "volume", "ls", "-q")
    run(docker, "volume", "create", "--label", "keep", "labelled")
    fill = "head -c 1000000 /dev/zero > /data/file"
    run(docker, "run", "--name", "box", "-v", "used:/data", "busybox", "sh", "-c", fill)
    run(docker, "run", "--rm", "-v", "named:/data", "busybox", "sh", "-c", fill)

    volumes = usage(docker)["Local Volumes"]
    assert (volumes["TotalCount"], volumes["Active"]) == ("4", "1")
    assert 2.0 <= float(volumes["Size"].removesuffix("MB")) < 2.1
    assert volumes["Reclaimable"].endswith("(50%)")

    assert run(docker, "volume", "prune", "-f")[:2] == ["Deleted Volumes:", unused]
    removed = run(docker, "volume", "prune", "-af", "--filter", "label!=keep")
    assert removed[:2] == ["Deleted Volumes:", "named"]
    assert removed[-1].startswith("Total reclaimed space: 1")
    assert run(docker, "volume", "ls", "-q") == ["labelled", "used"]
    assert usage(docker)["Local Volumes"]["TotalCount"] == "2"


def test_images_and_containers_are_counted(docker: list[str]) -> None:
    before = usage(docker)
    assert before["Images"]["Active"] == "0"
    assert before["Containers"] == {
        "Type": "Containers", "TotalCount": "0", "Active": "0", "Size": "0B", "Reclaimable": "0B"
    }  # fmt: skip
    run(docker, "run", "--name", "box", "busybox", "sh", "-c", "head -c 500000 /dev/zero > /file")
    run(docker, "tag", "busybox", "other:name")
    after = usage(docker)
    assert after["Images"]["Active"] == after["Images"]["TotalCount"] == "1"
    assert after["Images"]["Reclaimable"] == "0B (0%)"
    assert 500 <= float(after["Containers"]["Size"].removesuffix("kB")) < 520
    assert after["Containers"]["Reclaimable"].endswith("(100%)")
    assert any("box" in line and "50" in line for line in run(docker, "system", "df", "-v"))


def test_a_filter_that_prunes_do_not_know_is_refused(docker: list[str]) -> None:
    done = subprocess.run([*docker, "volume", "prune", "-f", "--filter", "foo=bar"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "Error response from daemon: invalid filter 'foo'\n")
