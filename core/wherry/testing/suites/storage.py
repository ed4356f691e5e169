"""What every storage driver must do."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest

from wherry.errors import NotFound
from wherry.linux.mounts import mount, unmount
from wherry.model.mounts import Mount
from wherry.spec.storage import StorageDriver
from wherry.testing.conformance import Load, Subject, Suite

DEEP = 120  # layers; Docker allows 125


class StorageSubject(Subject[StorageDriver]):
    """A storage driver on a file system of its own."""

    def __init__(self, load: Load, folder: Path, stack: ExitStack, options: Mapping[str, Mapping[str, str]]) -> None:
        mount("tmpfs", "tmpfs", str(folder), ("mode=0700",))
        stack.callback(unmount, str(folder))
        super().__init__(load, folder, stack, options)

    def prepare(self, key: str, parent: str | None = None, *, writable: bool = True) -> Sequence[Mount]:
        """An active snapshot, and how to mount it."""
        return self.hook.prepare(key=key, parent=parent, writable=writable, quota=None)

    @contextlib.contextmanager
    def shown(self, mounts: Sequence[Mount]) -> Iterator[Path]:
        """The tree, mounted as the engine mounts it."""
        target = self.folder / "shown"
        target.mkdir(exist_ok=True)
        try:
            for each in mounts:
                mount(each.type, each.source, str(target), each.options)
            yield target
        finally:
            unmount(str(target))

    def layer(self, name: str, parent: str | None, **files: str) -> None:
        """A committed snapshot with these files more than its parent has."""
        with self.shown(self.prepare(f"new-{name}", parent)) as tree:
            for file, text in files.items():
                (tree / file).write_text(text)
        self.hook.commit(key=f"new-{name}", name=name)

    def files(self, key: str, parent: str | None, *, writable: bool = True) -> dict[str, str]:
        """Names and contents in a snapshot's top folder."""
        with self.shown(self.prepare(key, parent, writable=writable)) as tree:
            return {path.name: path.read_text() for path in sorted(tree.iterdir()) if path.is_file()}

    def listed(self) -> set[tuple[str, str | None, bool]]:
        """What the driver says is there."""
        return {(each.key, each.parent, each.committed) for each in self.hook.list_snapshots()}


class StorageConformance(Suite):
    """The checks. Subclass this and say DRIVERS."""

    FAMILY = "storage"
    SPEC = StorageDriver
    SUBJECT: ClassVar[type[StorageSubject]] = StorageSubject

    def test_prepare_twice_gives_the_same_mounts(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1")
        for parent in (None, "base"):
            first = subject.prepare(f"on-{parent}", parent)
            assert first
            assert list(subject.prepare(f"on-{parent}", parent)) == list(first)

    def test_prepare_again_keeps_what_was_written(self, subject: StorageSubject) -> None:
        with subject.shown(subject.prepare("a")) as tree:
            (tree / "mine").write_text("1")
        assert subject.files("a", None) == {"mine": "1"}

    def test_a_snapshot_without_parent_is_empty_and_writable(self, subject: StorageSubject) -> None:
        with subject.shown(subject.prepare("a")) as tree:
            assert list(tree.iterdir()) == []
            (tree / "folder").mkdir()
            (tree / "folder" / "file").write_text("1")

    def test_a_child_shows_what_its_parents_have(self, subject: StorageSubject) -> None:
        subject.layer("one", None, a="1", b="1")
        subject.layer("two", "one", b="2", c="2")
        assert subject.files("child", "two") == {"a": "1", "b": "2", "c": "2"}

    def test_a_child_changes_nothing_of_its_parent(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1", b="1", c="1")
        with subject.shown(subject.prepare("child", "base")) as tree:
            (tree / "a").write_text("changed")
            (tree / "b").unlink()
            (tree / "c").rename(tree / "moved")
            assert sorted(path.name for path in tree.iterdir()) == ["a", "moved"]
        assert subject.files("sibling", "base") == {"a": "1", "b": "1", "c": "1"}

    def test_a_file_that_a_layer_removed_is_gone_for_its_children(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1", b="1")
        with subject.shown(subject.prepare("new", "base")) as tree:
            (tree / "a").unlink()
        subject.hook.commit(key="new", name="less")
        assert subject.files("child", "less") == {"b": "1"}

    def test_snapshots_are_listed_with_kind_and_parent(self, subject: StorageSubject) -> None:
        subject.layer("base", None)
        subject.prepare("child", "base")
        assert subject.listed() == {("base", None, True), ("child", "base", False)}

    def test_commit_twice_is_content(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1")
        subject.hook.commit(key="new-base", name="base")
        assert subject.files("child", "base") == {"a": "1"}

    def test_commit_of_what_is_not_there_is_not_found(self, subject: StorageSubject) -> None:
        with pytest.raises(NotFound):
            subject.hook.commit(key="never", name="base")

    def test_a_parent_that_is_not_there_is_not_found(self, subject: StorageSubject) -> None:
        with pytest.raises(NotFound):
            subject.prepare("child", "never")
        assert subject.listed() == set()

    def test_an_active_snapshot_is_no_parent(self, subject: StorageSubject) -> None:
        subject.prepare("active")
        with pytest.raises(NotFound):
            subject.prepare("child", "active")

    def test_remove_may_be_repeated_and_takes_both_kinds(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1")
        subject.prepare("child", "base")
        for key in ("child", "child", "base", "base", "never"):
            subject.hook.remove(key=key)
        assert subject.listed() == set()

    def test_a_removed_key_may_return_and_is_empty_then(self, subject: StorageSubject) -> None:
        with subject.shown(subject.prepare("a")) as tree:
            (tree / "old").write_text("1")
        subject.hook.remove(key="a")
        assert subject.files("a", None) == {}

    def test_a_removal_frees_the_space(self, subject: StorageSubject) -> None:
        def used() -> int:
            found = os.statvfs(subject.folder)
            return (found.f_blocks - found.f_bfree) * found.f_bsize

        before = used()
        subject.layer("big", None, a="x" * (4 << 20))
        subject.hook.remove(key="big")
        assert used() - before < 1 << 20

    def test_all_is_there_after_a_restart_of_the_engine(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1")
        with subject.shown(subject.prepare("child", "base")) as tree:
            (tree / "b").write_text("2")
        before = subject.listed()
        subject.again()
        assert subject.listed() == before
        assert subject.files("child", "base") == {"a": "1", "b": "2"}

    def test_a_view_shows_its_parent_and_cannot_be_written(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1")
        with subject.shown(subject.prepare("view", "base", writable=False)) as tree:
            assert (tree / "a").read_text() == "1"
            with pytest.raises(OSError, match="Read-only"):
                (tree / "b").write_text("2")
        subject.hook.remove(key="view")
        assert subject.files("child", "base") == {"a": "1"}

    def test_owners_modes_links_and_attributes_are_kept(self, subject: StorageSubject) -> None:
        with subject.shown(subject.prepare("new")) as tree:
            file = tree / "file"
            file.write_text("1")
            os.chown(file, 1000, 1001)
            file.chmod(0o4751)
            os.utime(file, ns=(1, 1_000_000_007))
            os.link(file, tree / "same")
            (tree / "link").symlink_to("/nowhere")
            os.mkfifo(tree / "fifo")
            os.setxattr(file, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        subject.hook.commit(key="new", name="base")
        with subject.shown(subject.prepare("child", "base")) as tree:
            found = (tree / "file").stat()
            assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 1001, 0o4751)
            assert found.st_mtime_ns == 1_000_000_007
            assert (found.st_nlink, found.st_ino) == (2, (tree / "same").stat().st_ino)
            assert (tree / "link").readlink() == Path("/nowhere")
            assert stat.S_ISFIFO((tree / "fifo").stat().st_mode)
            assert os.getxattr(tree / "file", "security.capability").startswith(b"\x01\x00\x00\x02")

    def test_the_trees_own_folder_keeps_mode_and_owner(self, subject: StorageSubject) -> None:
        with subject.shown(subject.prepare("new")) as tree:
            assert stat.S_IMODE(tree.stat().st_mode) == 0o755
            tree.chmod(0o1777)
            os.chown(tree, 7, 8)
        subject.hook.commit(key="new", name="base")
        with subject.shown(subject.prepare("child", "base")) as tree:
            found = tree.stat()
            assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o1777, 7, 8)

    def test_many_layers_can_be_mounted_at_once(self, subject: StorageSubject) -> None:
        parent = None
        for number in range(DEEP):
            name = f"{number:064}"
            subject.layer(name, parent, **{f"f{number}": "1"})
            parent = name
        assert len(subject.files("child", parent)) == DEEP

    @pytest.mark.hook("usage")
    def test_usage_counts_what_a_snapshot_adds_to_its_parent(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="x" * 1_000_000)
        assert 1_000_000 <= subject.hook.usage(key="base").bytes < 1_100_000
        with subject.shown(subject.prepare("child", "base")) as tree:
            (tree / "b").write_text("y" * 300_000)
        assert 300_000 <= subject.hook.usage(key="child").bytes < 400_000

    @pytest.mark.hook("parts")
    def test_parts_are_paths_that_hold_as_long_as_the_snapshot_lives(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1")
        subject.prepare("child", "base")
        before = {key: dict(subject.hook.parts(key=key)) for key in ("base", "child")}
        paths = [path for found in before.values() for text in found.values() for path in text.split(":")]
        assert paths
        assert all(Path(path).is_absolute() for path in paths), paths
        assert before["base"] != before["child"]
        subject.again()
        assert {key: dict(subject.hook.parts(key=key)) for key in before} == before

    @pytest.mark.hook("parts")
    def test_what_is_not_there_has_no_parts(self, subject: StorageSubject) -> None:
        with pytest.raises(NotFound):
            subject.hook.parts(key="never")

    @pytest.mark.hook("changes")
    def test_changes_are_those_to_the_parent(self, subject: StorageSubject) -> None:
        with subject.shown(subject.prepare("new")) as tree:
            for name in ("kept", "gone", "other"):
                (tree / "folder" / name).parent.mkdir(exist_ok=True)
                (tree / "folder" / name).write_text("1")
        subject.hook.commit(key="new", name="base")
        with subject.shown(subject.prepare("child", "base")) as tree:
            (tree / "folder" / "gone").unlink()
            (tree / "folder" / "other").write_text("22")
            (tree / "fresh").mkdir()
            (tree / "fresh" / "file").write_text("1")
        found = {(each.path, each.kind) for each in subject.hook.changes(key="child")}
        assert found == {
            ("/folder", "modified"), ("/folder/gone", "deleted"), ("/folder/other", "modified"),
            ("/fresh", "added"), ("/fresh/file", "added"),
        }  # fmt: skip

    @pytest.mark.hook("changes")
    def test_nothing_written_is_nothing_changed(self, subject: StorageSubject) -> None:
        subject.layer("base", None, a="1")
        subject.prepare("child", "base")
        assert list(subject.hook.changes(key="child")) == []


class TestStorage(StorageConformance):
    """The drivers of the command line."""
