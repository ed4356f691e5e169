"""The volume driver local, through its entry point."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wherry.errors import Conflict, Invalid, NotFound
from wherry.linux.mounts import mount, mounts, unmount
from wherry.model.mounts import Mount, Usage
from wherry.spec.base import Context
from wherry.spec.volume import VolumeDriver
from wherry.toolkit.options import describe
from wherry_engine.loader.load import Driver, load_driver

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "root"
    target.mkdir()
    yield target
    for info in reversed(mounts(os.path.realpath(target))):
        unmount(info.target)


def load(root: Path) -> Driver[VolumeDriver]:
    def place(config: Any) -> Context:
        return Context(root, root, "t", config)

    return load_driver(VolumeDriver, "local", place)


@pytest.fixture
def volumes(root: Path) -> Driver[VolumeDriver]:
    return load(root)


def create(volumes: Driver[VolumeDriver], name: str, **given: str) -> str | None:
    return volumes.hook.create(name=name, options=volumes.parse("OPTIONS", given))


def attach(volumes: Driver[VolumeDriver], name: str, **given: str) -> Mount:
    (one,) = volumes.hook.attach(name=name, options=volumes.parse("OPTIONS", given))
    return one


def test_a_volume_is_a_folder_that_anyone_may_enter(volumes: Driver[VolumeDriver], root: Path) -> None:
    old = os.umask(0o077)
    try:
        path = create(volumes, "data")
    finally:
        os.umask(old)
    assert path == str(root / "data/_data")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(root / "data").st_mode) == 0o701


def test_create_twice_keeps_the_data(volumes: Driver[VolumeDriver]) -> None:
    path = create(volumes, "data")
    assert path is not None
    (Path(path) / "file").touch()
    assert create(volumes, "data") == path
    assert os.listdir(path) == ["file"]


def test_remove_takes_the_data_and_may_be_repeated(volumes: Driver[VolumeDriver], root: Path) -> None:
    path = create(volumes, "data")
    assert path is not None
    (Path(path) / "folder").mkdir()
    for name in ("data", "data", "never"):
        volumes.hook.remove(name=name)
    assert os.listdir(root) == [".new"]
    assert volumes.hook.list_volumes() == []


def test_a_volume_that_is_still_mounted_is_not_removed(volumes: Driver[VolumeDriver], root: Path) -> None:
    create(volumes, "data", type="tmpfs", device="tmpfs")
    mount("tmpfs", "tmpfs", str(root / "data/_data"))
    with pytest.raises(Conflict, match="still mounted"):
        volumes.hook.remove(name="data")
    assert volumes.hook.list_volumes() == ["data"]


def test_volumes_are_listed_by_name(volumes: Driver[VolumeDriver]) -> None:
    for name in ("b", "a", "c.d_e-f"):
        create(volumes, name)
    assert volumes.hook.list_volumes() == ["a", "b", "c.d_e-f"]


def test_what_a_killed_call_left_is_not_listed_and_goes_away(volumes: Driver[VolumeDriver], root: Path) -> None:
    (root / ".new/half/_data").mkdir(parents=True)
    assert volumes.hook.list_volumes() == []
    create(volumes, "half")
    (root / ".new/other/_data").mkdir(parents=True)
    assert load(root).hook.list_volumes() == ["half"]
    assert os.listdir(root / ".new") == []


def test_usage_is_that_of_the_data(volumes: Driver[VolumeDriver]) -> None:
    path = create(volumes, "data")
    assert path is not None
    (Path(path) / "file").write_bytes(bytes(300))
    assert volumes.hook.usage(name="data") == Usage(300, 2)
    with pytest.raises(NotFound):
        volumes.hook.usage(name="never")


def test_a_plain_volume_is_attached_by_a_bind(volumes: Driver[VolumeDriver]) -> None:
    path = create(volumes, "data")
    assert attach(volumes, "data") == attach(volumes, "data") == Mount("bind", str(path), ("rbind", "rw"))
    with pytest.raises(NotFound):
        attach(volumes, "never")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5"}, Mount("tmpfs", "tmpfs", ("size=1m", "uid=5"))),
        ({"type": "none", "device": "/srv", "o": "bind"}, Mount("bind", "/srv", ("bind",))),
        ({"type": "none", "device": "/srv", "o": "rbind,ro"}, Mount("bind", "/srv", ("rbind", "ro"))),
        ({"type": "nfs", "device": ":/x", "o": "addr=10.0.0.1,rw"}, Mount("nfs", ":/x", ("addr=10.0.0.1", "rw"))),
        ({"type": "ext4", "device": "/dev/sdz"}, Mount("ext4", "/dev/sdz", ())),
        (
            {"type": "cifs", "device": "//host/share", "o": "username=u,password=p,ro"},
            Mount("cifs", "//host/share", ("username=u", "ro"), ("password=p",)),
        ),
    ],
)
def test_options_say_what_is_mounted(volumes: Driver[VolumeDriver], given: dict[str, str], wanted: Mount) -> None:
    assert create(volumes, "data", **given) is None
    assert attach(volumes, "data", **given) == wanted
    assert "password" not in repr(wanted)


def test_mounts_of_options_really_mount(volumes: Driver[VolumeDriver], root: Path) -> None:
    (root / "source").mkdir()
    (root / "source/file").touch()
    create(volumes, "bound", type="none", device=str(root / "source"), o="bind,ro")
    one = attach(volumes, "bound", type="none", device=str(root / "source"), o="bind,ro")
    target = root / "bound/_data"
    mount(one.type, one.source, str(target), one.options)
    assert os.listdir(target) == ["file"]
    with pytest.raises(OSError, match="Read-only"):
        (target / "new").touch()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"device": "/x"}, 'missing required option: "type"'),
        ({"o": "bind"}, 'missing required option: "device"'),
        ({"type": "none", "device": "relative", "o": "bind"}, "absolute path"),
        ({"type": "none", "device": "/x"}, "needs bind"),
        ({"size": "1g"}, "no quota support"),
        ({"colour": "red"}, "unknown option 'colour'"),
    ],
)
def test_wrong_options_are_refused_at_create(volumes: Driver[VolumeDriver], given: dict[str, str], fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        create(volumes, "data", **given)
    assert volumes.hook.list_volumes() == []


@pytest.mark.parametrize("name", ["", ".new", "..", "a/b", "-x", "ä", "x\n"])
def test_names_that_are_no_file_names_are_refused(volumes: Driver[VolumeDriver], name: str) -> None:
    with pytest.raises(Invalid, match="invalid characters"):
        create(volumes, name)


def test_the_options_are_described_for_people() -> None:
    from wherry_volume.local.driver import Options

    assert [info.key for info in describe(Options)] == ["type", "o", "size", "device"]
