"""The helper's jobs on trees, called as the plain functions that they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.linux.archives import END, describe, file, folder, header

from wherry.errors import Invalid
from wherry.linux import steps
from wherry_engine.helper import tree

pytestmark = pytest.mark.root


def archive(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    return os.open(path, os.O_RDONLY)


def test_a_layer_is_extracted_and_counted(tmpfs: Path) -> None:
    (tmpfs / "layer").mkdir()
    stream = archive(tmpfs / "tar", folder(b"d") + file(b"d/f", b"12345") + END)
    try:
        arguments = {"root": str(tmpfs / "layer"), "whiteouts": "overlay", "sync": True}
        assert tree.extract_layer(arguments, [stream]) == {"entries": 2, "bytes": 5, "recorded": True}
    finally:
        os.close(stream)
    assert (tmpfs / "layer/d/f").read_bytes() == b"12345"


def test_a_layer_is_extracted_into_a_directory_given_open(tmpfs: Path) -> None:
    (tmpfs / "layer").mkdir()
    stream = archive(tmpfs / "tar", file(b"f") + header(b".wh.f2") + END)
    opened = os.open(tmpfs / "layer", os.O_RDONLY)
    try:
        tree.extract_layer({"root": "", "whiteouts": "delete"}, [stream, opened])
        with pytest.raises(Invalid, match="overlay or delete"):
            tree.extract_layer({"root": "", "whiteouts": "aufs"}, [stream, opened])
    finally:
        os.close(stream)
        os.close(opened)
    assert os.listdir(tmpfs / "layer") == ["f"]


@pytest.fixture
def image(tmpfs: Path) -> Path:
    rootfs = tmpfs / "rootfs"
    (rootfs / "srv/www/sub").mkdir(parents=True)
    (rootfs / "srv/www/index").write_bytes(b"hello")
    (rootfs / "srv/www/sub/more").write_bytes(b"more")
    os.chown(rootfs / "srv/www", 33, 34)
    (rootfs / "srv/www").chmod(0o2770)
    (tmpfs / "volume").mkdir()
    return rootfs


def copy_up(rootfs: Path, path: str) -> object:
    return tree.copy_up({"rootfs": str(rootfs), "path": path, "target": str(rootfs.parent / "volume")}, [])


def test_a_new_volume_gets_what_the_image_has_there(image: Path) -> None:
    assert copy_up(image, "/srv/www") == {"entries": 3}
    assert describe(image.parent / "volume") == describe(image / "srv/www")


def test_a_volume_with_contents_is_left_alone(image: Path) -> None:
    volume = image.parent / "volume"
    (volume / "mine").touch()
    before = describe(volume)
    assert copy_up(image, "/srv/www") == {"entries": 0}
    assert describe(volume) == before


@pytest.mark.parametrize("path", ["/missing", "/srv/www/index", "/srv/www/index/below", "/loop"])
def test_without_a_folder_in_the_image_nothing_happens(image: Path, path: str) -> None:
    (image / "loop").symlink_to("loop")
    before = describe(image.parent / "volume")
    assert copy_up(image, path) == {"entries": 0}
    assert describe(image.parent / "volume") == before


def test_links_of_the_image_lead_within_it(image: Path) -> None:
    (image.parent / "secret").mkdir()
    (image.parent / "secret/key").touch()
    (image / "out").symlink_to(f"..{image.parent}/secret")
    (image / "in").symlink_to("/srv/../../../srv/www")
    assert copy_up(image, "/out") == {"entries": 0}
    assert copy_up(image, "/in") == {"entries": 3}


def test_a_copy_that_fails_leaves_the_volume_empty(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: int, target: int) -> int:
        os.mkdir("half", dir_fd=target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tree, "copy_tree", fail)
    with pytest.raises(OSError, match="No space"):
        copy_up(image, "/srv/www")
    assert os.listdir(image.parent / "volume") == []


def test_the_steps_are_failpoints(image: Path) -> None:
    steps.arm("helper.copy_up.copy=error@before")
    try:
        with pytest.raises(steps.Failpoint):
            copy_up(image, "/srv/www")
    finally:
        steps.arm("")


def test_a_tree_is_measured(image: Path) -> None:
    assert tree.usage({"path": str(image)}, []) == {"bytes": 9, "inodes": 6}
