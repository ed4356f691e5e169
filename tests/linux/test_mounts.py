"""Mounting and unmounting on this kernel, and the table that says what is mounted."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wherry.errors import Conflict, Invalid, Unavailable
from wherry.linux import mounts as module
from wherry.linux.mount_options import join_layers, sort_options
from wherry.linux.mounts import bind, is_mount, make_private, make_shared, mount, mounts, unbind, unmount
from wherry.linux.servers import with_address

pytestmark = pytest.mark.root


def folders(base: Path, *names: str) -> None:
    for name in names:
        (base / name).mkdir(parents=True)


def targets(base: Path) -> list[str]:
    return [info.target for info in mounts(str(base))]


def test_unmount_of_what_is_not_mounted_succeeds(tmpfs: Path) -> None:
    folders(tmpfs, "folder")
    (tmpfs / "file").touch()
    for name in ("folder", "file", "missing", "file/below"):
        unmount(str(tmpfs / name))
    assert targets(tmpfs) == [str(tmpfs)]


def test_a_mount_made_twice_is_one_mount(tmpfs: Path) -> None:
    folders(tmpfs, "t")
    for _ in range(2):
        mount("tmpfs", "tmpfs", str(tmpfs / "t"), ("size=1m", "nosuid", "noexec", "ro", "rw"))
    found = mounts(str(tmpfs / "t"))
    assert [(info.kind, info.source) for info in found] == [("tmpfs", "tmpfs")]
    assert {"nosuid", "noexec", "size=1024k"} <= set(found[0].options)
    assert "ro" not in found[0].options


def test_another_mount_on_a_target_is_refused(tmpfs: Path) -> None:
    folders(tmpfs, "t", "other")
    mount("tmpfs", "one", str(tmpfs / "t"))
    with pytest.raises(Conflict, match="tmpfs one is mounted there"):
        mount("tmpfs", "two", str(tmpfs / "t"))
    with pytest.raises(Conflict, match="is taken"):
        bind(str(tmpfs / "other"), str(tmpfs / "t"))


def test_unmount_takes_away_all_that_is_stacked(tmpfs: Path) -> None:
    folders(tmpfs, "t")
    mount("tmpfs", "one", str(tmpfs / "t"))
    bind(str(tmpfs / "t"), str(tmpfs / "t"))
    assert len(mounts(str(tmpfs / "t"))) == 2
    unmount(str(tmpfs / "t"))
    assert not is_mount(str(tmpfs / "t"))


def test_a_file_in_use_does_not_keep_a_mount(tmpfs: Path) -> None:
    folders(tmpfs, "t")
    mount("tmpfs", "tmpfs", str(tmpfs / "t"))
    with (tmpfs / "t/file").open("w") as file:
        unmount(str(tmpfs / "t"))
        file.write("still fine")
    assert targets(tmpfs) == [str(tmpfs)]


def test_a_bind_shows_the_same_files(tmpfs: Path) -> None:
    folders(tmpfs, "a/below", "b")
    mount("tmpfs", "tmpfs", str(tmpfs / "a/below"))
    (tmpfs / "a/below/x").touch()
    for _ in range(2):
        bind(str(tmpfs / "a"), str(tmpfs / "b"))
    assert (tmpfs / "b/below/x").exists()
    (tmpfs / "b/new").touch()
    assert (tmpfs / "a/new").exists()
    assert targets(tmpfs / "b") == [str(tmpfs / "b"), str(tmpfs / "b/below")]


def test_a_readonly_bind_is_readonly_all_the_way_down(tmpfs: Path) -> None:
    folders(tmpfs, "a/below", "b", "c")
    mount("tmpfs", "tmpfs", str(tmpfs / "a/below"))
    bind(str(tmpfs / "a"), str(tmpfs / "b"), readonly=True)
    for name in ("b/x", "b/below/x"):
        with pytest.raises(OSError, match="Read-only") as caught:
            (tmpfs / name).touch()
        assert caught.value.errno == errno.EROFS
    (tmpfs / "a/below/x").touch()
    mount("bind", str(tmpfs / "a"), str(tmpfs / "c"), ("bind", "ro", "noatime"))
    assert not (tmpfs / "c/below/x").exists()
    assert {"ro", "noatime"} <= set(mounts(str(tmpfs / "c"))[0].options)


def test_a_single_file_can_be_bound(tmpfs: Path) -> None:
    (tmpfs / "a").write_text("a")
    (tmpfs / "b").write_text("b")
    bind(str(tmpfs / "a"), str(tmpfs / "b"))
    assert (tmpfs / "b").read_text() == "a"
    assert is_mount(str(tmpfs / "b"))


def test_an_unknown_word_for_a_bind_is_refused(tmpfs: Path) -> None:
    folders(tmpfs, "a", "b")
    with pytest.raises(Invalid, match="no option 'size=1m'"):
        mount("bind", str(tmpfs / "a"), str(tmpfs / "b"), ("rbind", "size=1m"))


def test_a_folder_is_bound_onto_itself_once_and_unbound_alone(tmpfs: Path) -> None:
    folders(tmpfs, "data")
    for folder in (tmpfs / "data", tmpfs):  # one that is no mount yet, and one that is
        before = targets(folder)
        for _ in range(2):
            bind(str(folder), str(folder))
        assert targets(folder).count(str(folder)) == before.count(str(folder)) + 1
    for folder, left in ((tmpfs, 1), (tmpfs / "data", 0)):
        for _ in range(2):
            unbind(str(folder))
        assert targets(folder).count(str(folder)) == left


def test_propagation_is_shown_in_the_table(tmpfs: Path) -> None:
    make_shared(str(tmpfs))
    assert mounts(str(tmpfs))[0].propagation[0].startswith("shared:")
    make_private(str(tmpfs))
    assert mounts(str(tmpfs))[0].propagation == ()
    folders(tmpfs, "a")
    bind(str(tmpfs / "a"), str(tmpfs / "a"))
    mount("bind", str(tmpfs / "a"), str(tmpfs / "a"), ("rbind", "rshared"))
    assert mounts(str(tmpfs / "a"))[0].propagation != ()


def test_strange_names_come_out_of_the_table_as_they_are(tmpfs: Path) -> None:
    name = "a b\tc\\d,e\nf" + os.fsdecode(b"\xff")
    folders(tmpfs, name)
    mount("tmpfs", "s p", str(tmpfs / name))
    assert mounts(str(tmpfs / name))[0][4:7] == (str(tmpfs / name), "tmpfs", "s p")


def test_a_neighbour_with_a_longer_name_is_not_below(tmpfs: Path) -> None:
    folders(tmpfs, "a", "ab")
    mount("tmpfs", "tmpfs", str(tmpfs / "ab"))
    assert mounts(str(tmpfs / "a")) == []


def test_a_missing_target_is_an_error_that_names_the_call(tmpfs: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mount"):
        mount("tmpfs", "tmpfs", str(tmpfs / "missing"))


# Overlays


def layers(tmpfs: Path, count: int) -> list[str]:
    """Layers with names so long that 130 of them do not fit into a page; each has one file of its own."""
    found = []
    for number in range(count):
        layer = tmpfs / f"layer:{number:03}-{'x' * 40}"
        layer.mkdir()
        (layer / f"file{number}").touch()
        found.append(f"lowerdir+={layer}")
    folders(tmpfs, "upper", "work", "shown")
    return found


@pytest.mark.parametrize("count", [1, 2, 130, 400])
def test_an_overlay_of_many_layers_shows_them_all(tmpfs: Path, count: int) -> None:
    options = [*layers(tmpfs, count), f"upperdir={tmpfs}/upper", f"workdir={tmpfs}/work"]
    for _ in range(2):
        mount("overlay", "overlay", str(tmpfs / "shown"), options)
    assert len(mounts(str(tmpfs / "shown"))) == 1
    assert len(os.listdir(tmpfs / "shown")) == count
    (tmpfs / "shown/new").touch()
    assert os.listdir(tmpfs / "upper") == ["new"]


@pytest.mark.parametrize("count", [2, 130])
def test_an_overlay_without_upper_is_a_view(tmpfs: Path, count: int) -> None:
    options = ["ro", *layers(tmpfs, count)]
    for _ in range(2):
        mount("overlay", "overlay", str(tmpfs / "shown"), options)
    assert len(os.listdir(tmpfs / "shown")) == count
    with pytest.raises(OSError, match="Read-only"):
        (tmpfs / "shown/new").touch()


def test_a_kernel_that_takes_no_single_layers_gets_descriptors(tmpfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "lowerdir+ is unknown before Linux 6.7")

    monkeypatch.setattr(module, "_mount_stepwise", refuse)
    options = ["ro", *layers(tmpfs, 130)]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        mount("overlay", "overlay", str(tmpfs / "shown"), options)
    assert len(os.listdir(tmpfs / "shown")) == 130
    assert len(os.listdir("/proc/self/fd")) == before


def test_another_overlay_on_a_target_is_refused(tmpfs: Path) -> None:
    options = layers(tmpfs, 3)
    mount("overlay", "overlay", str(tmpfs / "shown"), options)
    with pytest.raises(Conflict):
        mount("overlay", "overlay", str(tmpfs / "shown"), options[1:])


def test_a_long_mount_that_fails_says_why_and_leaves_nothing(tmpfs: Path) -> None:
    options = [*layers(tmpfs, 130), "lowerdir+=/missing", f"upperdir={tmpfs}/upper", f"workdir={tmpfs}/work"]
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"system call|No such file"):
        mount("overlay", "overlay", str(tmpfs / "shown"), options)
    assert not is_mount(str(tmpfs / "shown"))
    assert len(os.listdir("/proc/self/fd")) == before


# Options


def test_options_are_sorted_and_later_ones_win() -> None:
    words = sort_options(("ro", "size=1", "noatime", "rw", "rslave", "strictatime", "", "defaults"))
    assert words.flags == ("noatime", "strictatime")
    assert words.data == ("size=1",)
    assert words.propagation == (0x84000,)


def test_layers_are_joined_with_their_colons_escaped() -> None:
    assert join_layers(["lowerdir+=/a:b", "x=y", "lowerdir+=/c"]) == ["lowerdir=/a\\:b:/c", "x=y"]
    assert join_layers(["x=y"]) == ["x=y"]


def test_names_of_servers_become_addresses() -> None:
    assert with_address("nfs", "127.0.0.1:/export", ["vers=4"]) == ["vers=4", "addr=127.0.0.1"]
    assert with_address("nfs", ":/export", ["addr=127.0.0.2", "rw"]) == ["rw", "addr=127.0.0.2"]
    assert with_address("nfs4", "[::1]:/export", []) == ["addr=::1"]
    assert with_address("cifs", "//127.0.0.1/share", ["user=a"]) == ["user=a", "ip=127.0.0.1"]
    assert with_address("nfs", "/nonsense", ["a"]) == ["a"]
    with pytest.raises(Unavailable, match=r"the address of no\.such\.host\.invalid"):
        with_address("nfs", "no.such.host.invalid:/x", [])
