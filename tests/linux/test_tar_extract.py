"""What a benign archive says is what the tree becomes, as GNU tar makes it; layers hide what they mean to hide."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import Literal

import pytest
from tests.linux.archives import END, describe, file, folder, hardlink, header, padded, records, symlink

from wherry.errors import Failed, Invalid
from wherry.linux.mounts import mount
from wherry.linux.tar import Extracted, extract
from wherry.linux.tar_fields import nanoseconds, number

pytestmark = pytest.mark.root

# A capability set of version 2: cap_net_raw, permitted and effective.
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def extracted(archive: bytes, root: Path, whiteouts: Literal["overlay", "delete"] = "overlay") -> Extracted:
    return extract(io.BytesIO(archive + END), str(root), whiteouts=whiteouts)


def build_tree(top: Path) -> None:
    """One of everything that a file system can hold."""
    staff = top / "usr/local/staff"
    staff.mkdir(parents=True)
    os.chown(staff, 0, 50)
    staff.chmod(0o2775)
    (staff / "roots").write_bytes(b"a file of group 0 in a folder of group 50")
    os.chown(staff / "roots", 0, 0)
    (top / "tmp").mkdir()
    (top / "tmp").chmod(0o1777)
    (top / "sealed").mkdir()
    (top / "sealed/inside").write_bytes(b"x" * 100_000)
    (top / "sealed").chmod(0o555)
    (top / "empty").touch()
    (top / "su").write_bytes(b"#!")
    os.chown(top / "su", 1000, 2_000_000)
    (top / "su").chmod(0o6755)
    os.setxattr(top / "su", "security.capability", CAPABILITY)
    os.setxattr(top / "su", "user.note", b"line\nbreak=\xff")
    os.setxattr(top / "sealed", "user.folder", b"")
    os.link(top / "su", top / "usr/su too")
    (top / "link").symlink_to("no/where")
    os.chown(top / "link", 5, 6, follow_symlinks=False)
    os.link(top / "link", top / "link too", follow_symlinks=False)
    (top / ("d" * 120)).mkdir()
    (top / ("d" * 120) / ("f" * 130)).write_bytes(b"long")
    (top / ("d" * 120) / "to").symlink_to("t" * 200)
    (Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe\n\t"))).write_bytes(b"strange")
    os.mkfifo(top / "fifo", 0o620)
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    os.chown(top / "disk", 0, 6)
    with open(top / "sparse", "wb") as sparse:
        for at in range(0, 40):
            sparse.seek(at << 20)
            sparse.write(b"island %d" % at)
        sparse.truncate(50 << 20)
    for folder_path, folders, files in os.walk(top):
        for place, name in enumerate(folders + files):
            when = 1_200_000_000_123_456_789 + place * 10**12
            os.utime(os.path.join(folder_path, name), ns=(when, when), follow_symlinks=False)
    os.utime(top, ns=(10**18, 10**18))


@pytest.mark.parametrize(
    "options", ["gnu", "pax", "gnu -S", "pax -S", "pax -S --sparse-version=0.0", "pax -S --sparse-version=0.1"]
)
def test_a_tree_comes_out_as_gnu_tar_extracts_it(tmpfs: Path, options: str) -> None:
    for name in ("tree", "gnus", "ours"):
        (tmpfs / name).mkdir()
    build_tree(tmpfs / "tree")
    kind, *more = options.split()
    archive = tmpfs / "archive"
    xattrs = ["--xattrs", "--xattrs-include=*"] if kind == "pax" else []
    subprocess.run(
        ["tar", f"--format={kind}", *more, *xattrs, "--numeric-owner", "-C", tmpfs / "tree", "-cf", archive, "."],
        check=True,
    )
    subprocess.run(
        ["tar", *xattrs, "--numeric-owner", "-p", "--same-owner", "-C", tmpfs / "gnus", "-xf", archive], check=True
    )
    with archive.open("rb") as stream:
        found = extract(stream.fileno(), str(tmpfs / "ours"), whiteouts="overlay")
    theirs, ours = describe(tmpfs / "gnus"), describe(tmpfs / "ours")
    assert ours.keys() == theirs.keys()
    assert {path: (ours[path], theirs[path]) for path in ours if ours[path] != theirs[path]} == {}
    assert found.entries == len(ours)
    if more:
        assert os.stat(tmpfs / "ours/sparse").st_blocks < 2 * 41 * 8


@pytest.mark.parametrize("kind", ["v7", "oldgnu", "ustar"])
def test_old_formats_come_out_as_gnu_tar_extracts_them(tmpfs: Path, kind: str) -> None:
    for name in ("tree/folder/deeper", "gnus", "ours"):
        (tmpfs / name).mkdir(parents=True)
    (tmpfs / "tree/folder/file").write_bytes(b"content")
    (tmpfs / "tree/folder/link").symlink_to("file")
    os.link(tmpfs / "tree/folder/file", tmpfs / "tree/again")
    if kind == "ustar":
        (tmpfs / "tree" / ("p" * 90)).mkdir()
        (tmpfs / "tree" / ("p" * 90) / ("q" * 90)).write_bytes(b"by prefix")
    archive = tmpfs / "archive"
    subprocess.run(["tar", f"--format={kind}", "-C", tmpfs / "tree", "-cf", archive, "."], check=True)
    subprocess.run(["tar", "-C", tmpfs / "gnus", "-p", "-xf", archive], check=True)
    extract(io.BytesIO(archive.read_bytes()), str(tmpfs / "ours"), whiteouts="delete")
    assert describe(tmpfs / "ours") == describe(tmpfs / "gnus")


def test_a_pipe_is_read_to_its_end(tmpfs: Path) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as stream:
            stream.write(file(b"f", b"x" * 300_000) + END + bytes(1 << 20))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert extract(reading, str(tmpfs), whiteouts="overlay") == Extracted(1, 300_000)
    finally:
        os.close(reading)
        writer.join()


def test_a_stream_in_small_pieces_is_put_together(tmpfs: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(file(b"f", b"x" * 1000) + END)
        theirs.shutdown(socket.SHUT_WR)
        with socket.SocketIO(ours, "rb") as raw:
            assert extract(raw, str(tmpfs), whiteouts="overlay").bytes == 1000  # type: ignore[arg-type]


def test_an_archive_without_end_marks_is_whole(tmpfs: Path) -> None:
    assert extract(io.BytesIO(file(b"f", b"x")), str(tmpfs), whiteouts="overlay") == Extracted(1, 1)
    assert extract(io.BytesIO(b""), str(tmpfs), whiteouts="overlay") == Extracted(0, 0)


def test_a_folder_that_the_archive_leaves_out_is_made(tmpfs: Path) -> None:
    old = os.umask(0o077)
    try:
        extracted(file(b"a/b/c", b"x"), tmpfs)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(tmpfs / "a/b").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(tmpfs / "a/b/c").st_mode) == 0o644


def test_the_roots_own_attributes_are_set(tmpfs: Path) -> None:
    extracted(header(b"./", b"5", mode=0o1750, uid=7, gid=8, mtime=99) + file(b"f"), tmpfs)
    found = os.stat(tmpfs)
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime) == (0o1750, 7, 8, 99)


def test_a_folders_time_is_not_changed_by_what_comes_into_it_later(tmpfs: Path) -> None:
    extracted(header(b"d", b"5", mtime=77) + folder(b"e") + file(b"d/f", b"x") + file(b"d/g/h", b"x"), tmpfs)
    assert os.stat(tmpfs / "d").st_mtime == 77


def test_a_later_entry_replaces_an_earlier_one(tmpfs: Path) -> None:
    extracted(
        folder(b"d") + file(b"d/f", b"old") + file(b"d", b"a file now")
        + file(b"e", b"old") + folder(b"e", 0o700) + file(b"e/f", b"new")
        + symlink(b"s", b"e") + folder(b"s") + file(b"s/g", b"own")
        + file(b"t", b"1") + file(b"t", b"2"), tmpfs,
    )  # fmt: skip
    assert (tmpfs / "d").read_bytes() == b"a file now"
    assert (tmpfs / "e/f").read_bytes() == b"new"
    assert not (tmpfs / "s").is_symlink()
    assert os.listdir(tmpfs / "e") == ["f"]
    assert (tmpfs / "t").read_bytes() == b"2"


def test_a_folder_over_a_folder_keeps_the_contents(tmpfs: Path) -> None:
    extracted(folder(b"d") + file(b"d/f", b"x") + folder(b"d", 0o700), tmpfs)
    assert os.listdir(tmpfs / "d") == ["f"]
    assert stat.S_IMODE(os.stat(tmpfs / "d").st_mode) == 0o700


def test_a_hard_link_to_itself_changes_nothing(tmpfs: Path) -> None:
    extracted(file(b"f", b"x") + hardlink(b"f", b"./f") + hardlink(b"g", b"f") + hardlink(b"g", b"f"), tmpfs)
    assert (tmpfs / "f").read_bytes() == b"x"
    assert os.stat(tmpfs / "g").st_nlink == 2


def test_an_empty_record_takes_back_a_general_one(tmpfs: Path) -> None:
    extracted(
        records({b"uid": b"5", b"mtime": b"3"}, b"g")
        + file(b"a")
        + records({b"uid": b"", b"mtime": b"4.5"})
        + file(b"b"),
        tmpfs,
    )
    assert (os.stat(tmpfs / "a").st_uid, os.stat(tmpfs / "a").st_mtime) == (5, 3)
    assert os.stat(tmpfs / "b").st_mtime == 4.5


def test_what_a_symbolic_link_cannot_hold_is_left_out(tmpfs: Path) -> None:
    extracted(records({b"SCHILY.xattr.user.x": b"v"}) + symlink(b"l", b"x"), tmpfs)
    assert (tmpfs / "l").is_symlink()


def test_a_full_disk_is_the_hosts_fault_and_names_the_entry(tmpfs: Path) -> None:
    small = tmpfs / "small"
    small.mkdir()
    mount("tmpfs", "tmpfs", str(small), ("size=64k",))
    with pytest.raises(Failed, match="big: this entry of the archive cannot be made: No space left on device"):
        extracted(file(b"big", bytes(200_000)), small)


# Whiteouts


def is_whiteout(path: Path) -> bool:
    found = os.lstat(path)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path)


def test_whiteouts_become_overlays_own(tmpfs: Path) -> None:
    extracted(
        folder(b"d") + header(b"d/.wh.gone") + folder(b"o") + header(b"o/.wh..wh..opq") + header(b".wh.top"), tmpfs
    )
    assert is_whiteout(tmpfs / "d/gone")
    assert is_whiteout(tmpfs / "top")
    assert is_opaque(tmpfs / "o")
    assert not is_opaque(tmpfs / "d")
    assert sorted(os.listdir(tmpfs)) == ["d", "o", "top"]


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_whiteout_does_not_hide_what_its_own_layer_brings(tmpfs: Path, order: str) -> None:
    marks = header(b".wh.f") + header(b".wh.d") + header(b".wh.implied") + header(b".wh.l")
    bring = file(b"f", b"new") + folder(b"d") + file(b"d/x", b"new") + file(b"implied/x", b"new") + symlink(b"l", b"f")
    extracted(marks + bring if order == "before" else bring + marks, tmpfs)
    assert (tmpfs / "f").read_bytes() == (tmpfs / "d/x").read_bytes() == (tmpfs / "implied/x").read_bytes() == b"new"
    assert (tmpfs / "l").is_symlink()
    assert is_opaque(tmpfs / "d")
    assert is_opaque(tmpfs / "implied")


@pytest.mark.parametrize("order", ["before", "after"])
def test_whiteouts_delete_what_lower_layers_have(tmpfs: Path, order: str) -> None:
    lower = (
        folder(b"d")
        + file(b"d/low")
        + folder(b"d/sub")
        + file(b"d/sub/low")
        + file(b"f")
        + folder(b"g")
        + file(b"g/low")
    )
    extracted(lower + folder(b"o") + file(b"o/low") + folder(b"o/sub") + file(b"o/sub/low"), tmpfs, "delete")
    marks = header(b".wh.f") + header(b".wh.g") + header(b".wh.d") + header(b"o/.wh..wh..opq") + header(b".wh.never")
    bring = file(b"d/sub/new", b"new") + file(b"f", b"new") + file(b"o/sub/new", b"new")
    extracted(marks + bring if order == "before" else bring + marks, tmpfs, "delete")
    found = {os.fsdecode(path) for path in describe(tmpfs)}
    assert found == {".", "d", "d/sub", "d/sub/new", "f", "o", "o/sub", "o/sub/new"}
    assert (tmpfs / "f").read_bytes() == b"new"


def test_layers_with_whiteouts_show_as_they_should_through_an_overlay(tmpfs: Path) -> None:
    for name in ("lower", "upper", "work", "shown"):
        (tmpfs / name).mkdir()
    extracted(
        folder(b"d") + file(b"d/keep", b"low") + file(b"d/gone") + folder(b"o") + file(b"o/low") + folder(b"r") + file(b"r/low")
        + file(b"changed", b"low"), tmpfs / "lower",
    )  # fmt: skip
    extracted(
        folder(b"d") + header(b"d/.wh.gone") + folder(b"o") + file(b"o/new") + header(b"o/.wh..wh..opq")
        + header(b".wh.r") + folder(b"r") + file(b"r/new") + file(b"changed", b"new"), tmpfs / "upper",
    )  # fmt: skip
    layers = (f"lowerdir+={tmpfs}/lower", f"upperdir={tmpfs}/upper", f"workdir={tmpfs}/work")
    mount("overlay", "overlay", str(tmpfs / "shown"), layers)
    shown = {os.fsdecode(path) for path in describe(tmpfs / "shown")}
    assert shown == {".", "changed", "d", "d/keep", "o", "o/new", "r", "r/new"}
    assert (tmpfs / "shown/changed").read_bytes() == b"new"


# Fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644), (b"   644 \0", 0o644), (b"\0" * 8, 0), (b"77777777", 0o77777777),
        (b"\x80" + (10**9).to_bytes(11, "big"), 10**9), (b"\xff" * 12, -1), (b"\xff" * 7 + b"\xfe", -2),
    ],
)  # fmt: skip
def test_numbers_are_octal_or_base_256(field: bytes, value: int) -> None:
    assert number(field, "it") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"1.5", 1_500_000_000),
        (b"-1.25", -1_250_000_000),
        (b"1.0000000019", 1_000_000_001),
        (b"7.", 7 * 10**9),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: bytes, value: int) -> None:
    assert nanoseconds(text) == value


def test_a_checksum_of_signed_characters_is_accepted(tmpfs: Path) -> None:
    block = header(b"\xe4\xf6")
    signed_sum = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 256
    extracted(block[:148] + b"%06o\0 " % signed_sum + block[156:], tmpfs)
    assert os.listdir(os.fsencode(tmpfs)) == [b"\xe4\xf6"]
    with pytest.raises(Invalid):
        extracted(padded(b"x"), tmpfs)
