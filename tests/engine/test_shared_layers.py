"""Layers through the whole engine, on the kernel's overlayfs: what they hide, what they share, and who may need them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.engine import ROOT, Engine, workplace
from tests.archives import folder
from tests.cli.client import Client
from tests.engine.sweep_lab import busybox
from tests.fire.power_lab import archive

from wherry.testing.ledger import become_subreaper, reap_orphans

pytestmark = [pytest.mark.root, pytest.mark.slow]
ALONE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
BASE = folder(
    ("kept", b"base"), ("changed", b"base"), ("gone", b"base"), ("opaque/old", b"base"), ("opaque/under/old", b"base"),
    ("folder/old", b"base"), ("folder/kept", b"base"), onto=busybox(),
)  # fmt: skip
MIDDLE = folder((".wh.gone", b""), ("changed", b"middle"), ("opaque/.wh..wh..opq", b""), ("opaque/new", b"middle"))
TOP = folder(("folder/.wh.old", b""), ("gone", b"top"), ("opaque/.wh.new", b""), ("opaque/last", b"top"))
OTHER = folder(("other", b"other"), ("folder/.wh.kept", b""))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    become_subreaper()
    with workplace("512M") as where:
        engine = Engine(where)
        try:
            yield engine
            engine.stop()
        except BaseException:
            engine.discard()
            raise
    reap_orphans()


@pytest.fixture(scope="module")
def wherry(engine: Engine) -> Client:
    return Client([str(Path(sys.executable).with_name("wherry")), "-H", engine.places.host], "wherry")


def load(wherry: Client, name: str, *layers: bytes) -> None:
    ran = wherry("load", stdin=archive(name, *layers))
    assert (ran.status, ran.err) == (0, ""), ran.err
    assert f"Loaded image: {name}:latest" in ran.out


def tree(wherry: Client, image: str) -> dict[str, str]:
    """Each file that a container of the image sees, but for those of the base that all have."""
    script = "cd /; for f in $(busybox find kept changed gone other opaque folder -type f 2>/dev/null); do echo $f $(busybox cat $f); done"
    ran = wherry("run", "--rm", "--network", "none", image, "/bin/sh", "-c", script)
    assert ran.status == 0, ran.err
    return dict(line.split() for line in ran.out.splitlines())


def layers(engine: Engine) -> dict[str, int]:
    """The layers on the disk, and the inodes of their folders."""
    committed = engine.places.data / "storage/overlay2/committed"
    return {name: os.stat(committed / name).st_ino for name in os.listdir(committed)}


def test_a_container_sees_what_three_layers_leave_of_each_other(engine: Engine, wherry: Client) -> None:
    load(wherry, "three", BASE, MIDDLE, TOP)
    assert len(layers(engine)) == 3
    assert tree(wherry, "three") == {
        "kept": "base", "changed": "middle", "gone": "top", "opaque/last": "top", "folder/kept": "base",
    }  # fmt: skip


def test_a_second_image_adds_the_one_layer_that_it_does_not_share(engine: Engine, wherry: Client) -> None:
    load(wherry, "three", BASE, MIDDLE, TOP)
    before = layers(engine)
    load(wherry, "second", BASE, MIDDLE, OTHER)
    after = layers(engine)
    assert {name: inode for name, inode in after.items() if name in before} == before
    assert len(after) == len(before) + 1
    assert tree(wherry, "second") == {
        "kept": "base", "changed": "middle", "opaque/new": "middle", "folder/old": "base", "other": "other",
    }  # fmt: skip
    assert wherry("rmi", "three").status == 0
    assert len(layers(engine)) == 3
    assert tree(wherry, "second")["opaque/new"] == "middle"
    assert wherry("rmi", "second").status == 0
    assert layers(engine) == {}


def test_a_layer_that_is_not_what_the_image_says_is_refused_and_leaves_nothing(engine: Engine, wherry: Client) -> None:
    before = layers(engine)
    good = archive("bad", BASE, MIDDLE)
    digest = hashlib.sha256(MIDDLE).hexdigest().encode()
    ran = wherry("load", stdin=good.replace(digest, hashlib.sha256(TOP).hexdigest().encode()))
    assert ran.status == 1
    assert "is corrupt" in ran.err
    assert layers(engine) == before


def test_an_image_removed_during_a_creation_is_kept_or_not_found(tmp_path: Path) -> None:
    command = [*ALONE, sys.executable, "-m", "tests.engine.race_lab", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert "created, kept" in found["outcomes"]
    assert "not created: No such image: fresh:latest, removed" in found["outcomes"]
    assert len(found["outcomes"]) == 2, found["outcomes"]
