"""The storage driver overlay2, through its entry point and with real mounts."""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.linux.archives import END, file, folder, header
from tests.plugins.storage.conftest import Load

from wherry.errors import Conflict, NotFound, Unsupported
from wherry.linux.mounts import mount, unmount
from wherry.linux.steps import PYTHON_EFFECTS
from wherry.linux.tar import extract
from wherry.model.mounts import Mount, Snapshot
from wherry.spec.base import Context
from wherry.spec.storage import StorageDriver
from wherry.toolkit.options import NoOptions
from wherry_engine.loader.load import Driver
from wherry_storage.overlay2 import Driver as Overlay2

pytestmark = pytest.mark.root

Storage = Driver[StorageDriver]


def prepare(storage: Storage, key: str, parent: str | None = None, writable: bool = True) -> Mount:
    (one,) = storage.hook.prepare(key=key, parent=parent, writable=writable, quota=None)
    return one


def upper(one: Mount) -> Path:
    (found,) = (option.removeprefix("upperdir=") for option in one.options if option.startswith("upperdir="))
    return Path(found)


def add_layer(storage: Storage, name: str, parent: str | None, archive: bytes) -> None:
    one = prepare(storage, f"new-{name}", parent)
    extract(io.BytesIO(archive + END), str(upper(one)), whiteouts="overlay")
    storage.hook.commit(key=f"new-{name}", name=name)


def show(base: Path, one: Mount) -> list[str]:
    """What the mount shows, which stays mounted."""
    unmount(str(base / "shown"))
    mount(one.type, one.source, str(base / "shown"), one.options)
    return sorted(str(path.relative_to(base / "shown")) for path in (base / "shown").rglob("*"))


def listed(storage: Storage) -> set[Snapshot]:
    return set(storage.hook.list_snapshots())


# The contract of all storage drivers


def test_prepare_twice_gives_the_same_mounts(storage: Storage) -> None:
    add_layer(storage, "base", None, b"")
    for parent in (None, "base"):
        for writable in (True, False):
            key = f"{parent}-{writable}"
            assert prepare(storage, key, parent, writable) == prepare(storage, key, parent, writable)


def test_a_snapshot_without_parent_is_empty(storage: Storage, base: Path) -> None:
    assert show(base, prepare(storage, "a")) == []
    (base / "shown/file").touch()
    assert (base / "shown/file").exists()


def test_a_committed_snapshot_is_listed_with_its_parent(storage: Storage) -> None:
    prepare(storage, "a")
    storage.hook.commit(key="a", name="base")
    prepare(storage, "b", "base")
    assert listed(storage) == {Snapshot("base", None, True), Snapshot("b", "base", False)}


def test_commit_twice_is_one_commit(storage: Storage) -> None:
    prepare(storage, "a")
    for _ in range(2):
        storage.hook.commit(key="a", name="base")
    assert listed(storage) == {Snapshot("base", None, True)}


def test_a_child_sees_its_parents_files_and_keeps_its_own(storage: Storage, base: Path) -> None:
    add_layer(storage, "base", None, folder(b"d") + file(b"d/f", b"base"))
    show(base, prepare(storage, "a", "base"))
    (base / "shown/d/f").write_text("changed")
    assert show(base, prepare(storage, "b", "base")) == ["d", "d/f"]
    assert (base / "shown/d/f").read_text() == "base"
    show(base, prepare(storage, "a", "base"))
    assert (base / "shown/d/f").read_text() == "changed"


def test_a_written_snapshot_can_be_committed_and_built_upon(storage: Storage, base: Path) -> None:
    add_layer(storage, "base", None, file(b"f", b"base") + file(b"g", b"base"))
    show(base, prepare(storage, "a", "base"))
    (base / "shown/f").write_text("changed")
    (base / "shown/g").unlink()
    (base / "shown/new").touch()
    unmount(str(base / "shown"))
    storage.hook.commit(key="a", name="second")
    assert show(base, prepare(storage, "b", "second")) == ["f", "new"]
    assert (base / "shown/f").read_text() == "changed"


def test_a_view_cannot_be_written(storage: Storage, base: Path) -> None:
    add_layer(storage, "base", None, file(b"f"))
    for key, parent, found in (("v", "base", ["f"]), ("w", None, [])):
        assert show(base, prepare(storage, key, parent, writable=False)) == found
        with pytest.raises(OSError, match="Read-only"):
            (base / "shown/new").touch()


def test_what_is_not_there_is_said(storage: Storage) -> None:
    with pytest.raises(NotFound, match="no committed snapshot missing"):
        prepare(storage, "a", "missing")
    prepare(storage, "active")
    with pytest.raises(NotFound, match="no committed snapshot active"):
        prepare(storage, "b", "active")
    with pytest.raises(NotFound, match="no active snapshot missing"):
        storage.hook.commit(key="missing", name="x")
    with pytest.raises(NotFound, match="no snapshot missing"):
        storage.hook.usage(key="missing")


def test_names_are_not_taken_twice(storage: Storage) -> None:
    add_layer(storage, "base", None, b"")
    prepare(storage, "a")
    for call in (
        lambda: prepare(storage, "a", "base"),
        lambda: prepare(storage, "base"),
        lambda: storage.hook.commit(key="a", name="base"),
    ):
        with pytest.raises(Conflict, match="exists"):
            call()


def test_remove_takes_either_kind_and_may_be_repeated(storage: Storage) -> None:
    add_layer(storage, "base", None, file(b"f", bytes(1000)))
    prepare(storage, "a", "base")
    for key in ("a", "base", "never"):
        for _ in range(2):
            storage.hook.remove(key=key)
    assert listed(storage) == set()


def test_a_removed_name_may_return(storage: Storage, base: Path) -> None:
    for content in (b"first", b"second"):
        add_layer(storage, "base", None, file(content))
        assert show(base, prepare(storage, "a", "base")) == [content.decode()]
        unmount(str(base / "shown"))
        for key in ("a", "base"):
            storage.hook.remove(key=key)


def test_usage_counts_the_snapshot_alone(storage: Storage) -> None:
    add_layer(storage, "base", None, file(b"f", bytes(5000)))
    add_layer(storage, "second", "base", file(b"g", bytes(70)) + file(b"h", bytes(7)))
    assert (storage.hook.usage(key="base").bytes, storage.hook.usage(key="base").inodes) == (5000, 2)
    assert (storage.hook.usage(key="second").bytes, storage.hook.usage(key="second").inodes) == (77, 3)


def test_a_new_engine_finds_everything_again(load: Load, base: Path) -> None:
    add_layer(load(), "base", None, file(b"f"))
    prepare(load(), "a", "base")
    again = load()
    assert listed(again) == {Snapshot("base", None, True), Snapshot("a", "base", False)}
    assert show(base, prepare(again, "a", "base")) == ["f"]


# What is overlay2's own


def test_a_mount_is_an_overlay_with_the_folder_that_layers_are_extracted_into(storage: Storage) -> None:
    add_layer(storage, "sha256:base", None, b"")
    one = prepare(storage, "a", "sha256:base")
    assert (one.type, one.source) == ("overlay", "overlay")
    assert upper(one).is_dir()
    assert len([option for option in one.options if option.startswith("lowerdir+=")]) == 1


def test_whiteouts_and_opaque_folders_hide_what_is_below(storage: Storage, base: Path) -> None:
    add_layer(
        storage,
        "1",
        None,
        folder(b"d") + file(b"d/keep") + file(b"d/gone") + folder(b"o") + file(b"o/gone") + file(b"gone"),
    )
    add_layer(
        storage,
        "2",
        "1",
        folder(b"d") + header(b"d/.wh.gone") + folder(b"o") + header(b"o/.wh..wh..opq") + header(b".wh.gone"),
    )
    add_layer(storage, "3", "2", folder(b"o") + file(b"o/new"))
    assert show(base, prepare(storage, "a", "2")) == ["d", "d/keep", "o"]
    assert show(base, prepare(storage, "b", "3")) == ["d", "d/keep", "o", "o/new"]
    assert show(base, prepare(storage, "v", "3", writable=False)) == ["d", "d/keep", "o", "o/new"]


def test_130_layers_with_long_names_show_as_one_tree(storage: Storage, base: Path) -> None:
    parent = None
    for number in range(130):
        name = f"sha256:{number:064}"
        add_layer(storage, name, parent, file(b"last", b"%d" % number) + file(b"f%d" % number))
        parent = name
    one = prepare(storage, "a", parent)
    assert len(",".join(one.options)) > 4096
    assert len(show(base, one)) == 131
    assert (base / "shown/last").read_text() == "129"
    (base / "shown/new").touch()


def test_the_top_folder_has_the_images_mode_and_owner(storage: Storage, base: Path) -> None:
    add_layer(storage, "base", None, header(b"./", b"5", mode=0o1770, uid=3, gid=4))
    for key, parent in (("a", "base"), ("b", None)):
        show(base, prepare(storage, key, parent))
        found = os.stat(base / "shown")
        wanted = (0o1770, 3, 4) if parent else (0o755, 0, 0)
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == wanted


def test_a_quota_is_not_supported(storage: Storage) -> None:
    with pytest.raises(Unsupported, match="no quota"):
        storage.hook.prepare(key="a", parent=None, writable=True, quota=1 << 20)
    assert listed(storage) == set()


def test_status_says_what_it_stands_on(storage: Storage, base: Path) -> None:
    pairs = dict(storage.hook.status())
    assert pairs["Backing Filesystem"] in ("tmpfs", "extfs")
    assert pairs["Supports d_type"] == "true"


def test_a_root_that_overlayfs_cannot_name_is_unsupported(base: Path) -> None:
    (base / "a,b").mkdir()
    with pytest.raises(Unsupported, match="a path with one of"):
        Overlay2(Context(base / "a,b", base, "t", NoOptions()))


def test_a_file_system_without_room_for_overlays_is_unsupported(base: Path) -> None:
    inner = Overlay2(Context(base / "root", base, "t", NoOptions()))
    (one,) = inner.prepare("a", None, True, None)
    mount(one.type, one.source, str(base / "shown"), one.options)
    (base / "shown/root").mkdir()
    with pytest.raises(Unsupported, match="overlay2 does not work in"):  # overlayfs does not stand on overlayfs
        Overlay2(Context(base / "shown/root", base, "t", NoOptions()))


def test_a_link_that_was_lost_is_made_again(load: Load, base: Path) -> None:
    add_layer(load(), "base", None, file(b"f"))
    (link,) = (base / "root/l").iterdir()
    link.unlink()
    (base / "root/l/STRAY").symlink_to("../committed/missing/diff")
    assert show(base, prepare(load(), "a", "base")) == ["f"]
    assert list((base / "root/l").iterdir()) == [link]


# Killed at every step


def killed_at(number: int, call: Callable[[], object]) -> bool:
    """Make `call` in a child that dies just before its side effect of this number; False if it had fewer."""
    child = os.fork()
    if child == 0:
        left = number

        def count(event: str, _: Sequence[object]) -> None:
            nonlocal left
            if event in PYTHON_EFFECTS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        call()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def leftovers(base: Path) -> list[str]:
    root = base / "root"
    return [*os.listdir(root / "new"), *(name for name in os.listdir(root / "l") if not (root / "l" / name).exists())]


def test_prepare_killed_anywhere_is_done_or_undone(load: Load, base: Path) -> None:
    add_layer(load(), "base", None, b"")
    number = 0
    while True:
        storage = load()
        if not killed_at(number, lambda one=storage: prepare(one, "a", "base")):  # type: ignore[misc]
            break
        storage = load()
        assert listed(storage) - {Snapshot("base", None, True)} <= {Snapshot("a", "base", False)}
        assert leftovers(base) == []
        prepare(storage, "a", "base")
        storage.hook.remove(key="a")
        number += 1
    assert number >= 5


def test_commit_killed_anywhere_is_done_or_undone(load: Load, base: Path) -> None:
    number = 0
    while True:
        storage = load()
        show(base, prepare(storage, "a"))
        (base / "shown/f").touch()
        unmount(str(base / "shown"))
        if not killed_at(number, lambda one=storage: one.hook.commit(key="a", name="base")):  # type: ignore[misc]
            break
        storage = load()
        assert listed(storage) in ({Snapshot("a", None, False)}, {Snapshot("base", None, True)})
        assert leftovers(base) == []
        storage.hook.commit(key="a", name="base")
        assert show(base, prepare(storage, "b", "base")) == ["f"]
        unmount(str(base / "shown"))
        for key in ("b", "base"):
            storage.hook.remove(key=key)
        number += 1
    assert number >= 3


def test_remove_killed_anywhere_leaves_all_or_nothing_listed(load: Load, base: Path) -> None:
    number = 0
    while True:
        storage = load()
        add_layer(storage, "base", None, folder(b"d") + file(b"d/f") + file(b"g"))
        if not killed_at(number, lambda one=storage: one.hook.remove(key="base")):  # type: ignore[misc]
            break
        storage = load()
        assert listed(storage) in (set(), {Snapshot("base", None, True)})
        assert leftovers(base) == []
        storage.hook.remove(key="base")
        number += 1
    assert number >= 6
    assert leftovers(base) == []
