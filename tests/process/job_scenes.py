"""What passes the steps of helper jobs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.process.process_kit import Tree


async def copy_up(tree: Tree) -> None:
    source, target = tree.root / "image" / "data", tree.root / "volume"
    for folder in (source, target):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (source / "file").write_text("text")
    given = {"rootfs": str(source.parent), "path": "/data", "target": str(target)}
    done = False
    try:
        done = await tree.processes.job("copy_up", given) == {"entries": 1}
    finally:
        if "error" in tree.environment["WHERRY_FAILPOINTS"]:
            assert os.listdir(target) == []
        elif done:
            assert os.listdir(target) == ["file"]


def archive() -> bytes:
    """One of one small file."""
    memory, entry = io.BytesIO(), tarfile.TarInfo("file")
    entry.size = 4
    with tarfile.open(fileobj=memory, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(b"text"))
    return memory.getvalue()


@contextlib.contextmanager
def memories(*contents: bytes) -> Iterator[tuple[int, ...]]:
    """Descriptors of memory with these contents."""
    fds = tuple(os.memfd_create("memory") for _ in contents)
    try:
        for fd, content in zip(fds, contents, strict=True):
            os.pwrite(fd, content, 0)
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def folder(tree: Tree, name: str) -> Path:
    """An empty one."""
    path = tree.root / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


async def layer(tree: Tree) -> None:
    root = str(folder(tree, "layer"))
    with memories(archive(), b"", b"") as (given, record, again):
        order = {"root": root, "whiteouts": "overlay", "sync": True, "record": True}
        found = await tree.processes.job("extract_layer", order, (given, record))
        assert found == {"entries": 1, "bytes": 4, "recorded": True}
        os.lseek(record, 0, os.SEEK_SET)
        await tree.processes.job("join_layer", {"root": root}, (again, record))
        assert os.pread(again, 1 << 20, 0) == archive()


async def files_of_a_container(tree: Tree) -> None:
    root = folder(tree, "rootfs")
    view = {"rootfs": str(root), "mounts": [], "at": str(folder(tree, "view")), "binds": []}
    put = {"path": "/", "keep_kinds": False, "owner": "", "readonly_rootfs": False}
    changes = json.dumps(["file", "added"]).encode()
    with memories(archive(), changes, b"", b"", b"") as (given, changed, *got):
        await tree.processes.job("archive_put", view | put, (given,))
        assert (root / "file").read_text() == "text"
        await tree.processes.job("archive_get", view | {"path": "/file", "content": True}, (got[0],))
        await tree.processes.job("archive_export", view, (got[1],))
        await tree.processes.job("archive_layer", view, (got[2], changed))
        assert all(b"text" in os.pread(fd, 1 << 20, 0) for fd in got)


async def listing(tree: Tree) -> None:
    output = await tree.processes.job("ps", {"arguments": ["-ef"], "pids": [os.getpid()]})
    assert str(os.getpid()) in str(output)


async def mount(tree: Tree) -> None:
    target = tree.root / "mounted"
    try:
        given = {"target": str(target), "kind": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}
        await tree.processes.job("mount", given)
        assert os.path.ismount(target)
    finally:
        while os.path.ismount(target):
            subprocess.run(["umount", target], check=True)
