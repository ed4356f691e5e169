"""Files are written whole; trees are removed, measured and copied without leaving them."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import threading
from pathlib import Path

import pytest
from tests.linux.archives import describe

from wherry.linux.files import remove_tree, sync_filesystem, tree_usage, write_file
from wherry.linux.mounts import bind, mount
from wherry.linux.openat2 import BENEATH, NO_SYMLINKS, open_directory, openat2
from wherry.linux.syscalls import call, syscall
from wherry.linux.tree_copy import copy_tree

pytestmark = pytest.mark.root

DEPTH = 3000  # beyond Python's recursion, a process's descriptors, and the longest path


def dig(top: Path, depth: int) -> None:
    """Folders in folders, with a file in the last; no path leads there."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


# System calls


def test_a_failed_call_names_the_function_and_has_its_errno() -> None:
    with pytest.raises(FileNotFoundError, match="umount2: No such file"):
        call("umount2", "/missing/for/sure", 0)
    with pytest.raises(OSError, match="system call 437"):
        syscall(437, -1, b"x", bytes(24), 24)


# openat2


def test_links_are_resolved_within_the_root(tmpfs: Path) -> None:
    (tmpfs / "root/etc").mkdir(parents=True)
    (tmpfs / "root/etc/name").write_text("inside")
    (tmpfs / "root/abs").symlink_to("/etc/name")
    (tmpfs / "root/up").symlink_to("../../../../etc/name")
    root = os.open(tmpfs / "root", os.O_PATH)
    try:
        for name in ("abs", "up", b"/etc/name", "../../etc/name"):
            with open(openat2(root, name, os.O_RDONLY)) as file:
                assert file.read() == "inside"
        with pytest.raises(OSError, match="abs"):
            openat2(root, "abs", os.O_RDONLY, resolve=BENEATH | NO_SYMLINKS)
    finally:
        os.close(root)


def test_a_mount_or_a_link_is_not_opened_as_a_directory(tmpfs: Path) -> None:
    for name in ("plain", "bound"):
        (tmpfs / name).mkdir()
    (tmpfs / "link").symlink_to("plain")
    bind(str(tmpfs / "plain"), str(tmpfs / "bound"))
    here = os.open(tmpfs, os.O_PATH)
    try:
        os.close(open_directory(here, "plain"))
        for name in ("bound", "link", "missing"):
            with pytest.raises(OSError, match=name):
                open_directory(here, name)
    finally:
        os.close(here)


# Writing


def test_a_file_is_replaced_with_its_mode_and_nothing_else_is_left(tmpfs: Path) -> None:
    path = tmpfs / "file"
    old = os.umask(0o077)
    try:
        write_file(path, b"one")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        write_file(path, b"two", 0o600, sync=True)
    finally:
        os.umask(old)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmpfs) == ["file"]


def test_what_a_killed_writer_left_is_replaced(tmpfs: Path) -> None:
    (tmpfs / ".file.new").write_bytes(b"half of it, and longer than the whole")
    write_file(tmpfs / "file", b"whole")
    assert (tmpfs / "file").read_bytes() == b"whole"
    assert os.listdir(tmpfs) == ["file"]


def test_a_write_that_fails_keeps_the_old_file(tmpfs: Path) -> None:
    small = tmpfs / "small"
    small.mkdir()
    mount("tmpfs", "tmpfs", str(small), ("size=64k",))
    write_file(small / "file", b"old")
    with pytest.raises(OSError, match="No space"):
        write_file(small / "file", bytes(200_000))
    assert (small / "file").read_bytes() == b"old"
    assert os.listdir(small) == ["file"]


def test_a_file_system_is_synced(tmpfs: Path) -> None:
    sync_filesystem(tmpfs)


# Removing


def test_removing_what_is_not_there_succeeds(tmpfs: Path) -> None:
    (tmpfs / "file").touch()
    for name in ("missing", "missing/below", "file/below"):
        remove_tree(tmpfs / name)


def test_a_tree_is_removed_and_its_links_are_not_followed(tmpfs: Path) -> None:
    (tmpfs / "kept").mkdir()
    (tmpfs / "kept/file").touch()
    (tmpfs / "tree/a/b").mkdir(parents=True)
    (tmpfs / "tree/a/link").symlink_to(tmpfs / "kept")
    (tmpfs / "tree/a/b/file").touch()
    os.mkfifo(tmpfs / "tree/fifo")
    (Path(os.fsdecode(os.fsencode(tmpfs) + b"/tree/\xff"))).touch()
    (tmpfs / "link").symlink_to("kept")
    remove_tree(tmpfs / "tree")
    remove_tree(tmpfs / "link")
    assert [path.name for path in tmpfs.rglob("*")] == ["kept", "file"]


def test_a_tree_of_any_depth_is_removed(tmpfs: Path) -> None:
    (tmpfs / "tree").mkdir()
    dig(tmpfs / "tree", DEPTH)
    remove_tree(tmpfs / "tree")
    assert os.listdir(tmpfs) == []


def test_removing_stops_at_a_mount_and_leaves_it(tmpfs: Path) -> None:
    (tmpfs / "tree/bound").mkdir(parents=True)
    (tmpfs / "kept").mkdir()
    (tmpfs / "kept/file").touch()
    bind(str(tmpfs / "kept"), str(tmpfs / "tree/bound"))
    with pytest.raises(OSError, match="bound"):
        remove_tree(tmpfs / "tree")
    assert (tmpfs / "kept/file").exists()


def test_what_is_immutable_is_removed_all_the_same(tmpfs: Path) -> None:
    (tmpfs / "tree/folder").mkdir(parents=True)
    (tmpfs / "tree/folder/file").touch()
    for name in ("tree/folder/file", "tree/folder", "tree"):
        opened = os.open(tmpfs / name, os.O_RDONLY)
        fcntl.ioctl(opened, 0x40086602, struct.pack("l", 0x10))  # FS_IOC_SETFLAGS, FS_IMMUTABLE_FL
        os.close(opened)
    with pytest.raises(PermissionError):
        os.unlink(tmpfs / "tree/folder/file")
    remove_tree(tmpfs / "tree")
    assert os.listdir(tmpfs) == []


# Measuring


def test_usage_counts_lengths_and_each_inode_once(tmpfs: Path) -> None:
    top = tmpfs / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "file").write_bytes(bytes(1000))
    os.link(top / "file", top / "a/again")
    (top / "a/b/other").write_bytes(bytes(234))
    (top / "link").symlink_to("12345")
    assert tree_usage(top) == (1239, 6)


def test_usage_leaves_out_mounts_and_goes_to_any_depth(tmpfs: Path) -> None:
    top = tmpfs / "top"
    (top / "bound").mkdir(parents=True)
    (tmpfs / "big").mkdir()
    (tmpfs / "big/file").write_bytes(bytes(10_000))
    bind(str(tmpfs / "big"), str(top / "bound"))
    assert tree_usage(top) == (0, 2)
    (tmpfs / "deep").mkdir()
    dig(tmpfs / "deep", DEPTH)
    assert tree_usage(tmpfs / "deep") == (0, DEPTH + 2)
    remove_tree(tmpfs / "deep")


def test_usage_of_a_tree_that_changes_meanwhile_has_an_answer(tmpfs: Path) -> None:
    top = tmpfs / "top"
    top.mkdir()
    stopped = threading.Event()

    def churn() -> None:
        while not stopped.is_set():
            (top / "a/b/c").mkdir(parents=True, exist_ok=True)
            (top / "a/b/c/file").touch()
            remove_tree(top / "a")

    churner = threading.Thread(target=churn)
    churner.start()
    try:
        for _ in range(300):
            assert tree_usage(top)[1] <= 5
    finally:
        stopped.set()
        churner.join()


def test_usage_of_what_is_missing_is_an_error(tmpfs: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tree_usage(tmpfs / "missing")


# Copying


def copied(source: Path, target: Path) -> int:
    opened = [os.open(path, os.O_RDONLY) for path in (source, target)]
    try:
        return copy_tree(*opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_a_copy_has_everything_that_the_original_has(tmpfs: Path) -> None:
    source = tmpfs / "source"
    (source / "folder/deeper").mkdir(parents=True)
    (source / "folder/file").write_bytes(b"content" * 1000)
    os.chown(source / "folder/file", 1000, 1001)
    (source / "folder/file").chmod(0o4755)
    os.setxattr(
        source / "folder/file", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")
    )
    os.link(source / "folder/file", source / "again")
    os.link(source / "folder/file", source / "folder/deeper/again")
    (source / "link").symlink_to("/etc/passwd")
    os.chown(source / "link", 3, 4, follow_symlinks=False)
    os.mkfifo(source / "fifo", 0o640)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (Path(os.fsdecode(os.fsencode(source) + b"/\xff"))).touch()
    (source / "folder").chmod(0o2770)
    os.chown(source / "folder", 7, 8)
    for folder, folders, files in os.walk(source):
        for name in folders + files:
            os.utime(os.path.join(folder, name), ns=(5, 10**18 + 7), follow_symlinks=False)
    source.chmod(0o1777)
    os.utime(source, ns=(5, 10**17))
    (tmpfs / "target").mkdir()
    assert copied(source, tmpfs / "target") == len(describe(source)) - 1
    assert describe(tmpfs / "target") == describe(source)


def test_a_copy_goes_to_any_depth_and_enters_no_mount(tmpfs: Path) -> None:
    (tmpfs / "target").mkdir()
    (tmpfs / "source").mkdir()
    dig(tmpfs / "source", 1200)
    assert copied(tmpfs / "source", tmpfs / "target") == 1201
    assert tree_usage(tmpfs / "target") == (0, 1202)
