"""Storage drivers that do one thing wrong each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Conflict, NotFound
from wherry.linux.files import remove_tree, tree_usage
from wherry.spec.storage import Change, Context, Mount, Snapshot, Usage, hookimpl
from wherry_storage.vfs import Driver


def tree_of(mounts: Sequence[Mount]) -> Path:
    return Path(mounts[0].source)


class Fickle(Driver):
    """Gives another answer each time."""

    calls = 0

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        (one,) = super().prepare(key, parent, writable, quota)
        self.calls += 1
        return [attrs.evolve(one, options=(*one.options, *["nosuid"] * (self.calls % 2)))]


class Restarting(Driver):
    """Begins anew with each call."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        super().remove(key)
        return super().prepare(key, parent, writable, quota)


class Littering(Driver):
    """Leaves something of its own in every tree."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        mounts = super().prepare(key, parent, writable, quota)
        if writable:
            (tree_of(mounts) / ".litter").touch()
        return mounts


class Forgetting(Driver):
    """Begins every child with nothing."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        new = not (self._active / key).exists()
        mounts = super().prepare(key, parent, writable, quota)
        if new:
            for each in list(tree_of(mounts).iterdir()):
                remove_tree(each)
        return mounts


class Sharing(Driver):
    """Lets a child write into its parent."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        mounts = super().prepare(key, parent, writable, quota)
        return [Mount("bind", str(self._committed / parent / "tree"), ("rbind", "rw"))] if parent else mounts


class Resurrecting(Driver):
    """Shows a child what its grandparent had."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        mounts = super().prepare(key, parent, writable, quota)
        above = self._committed / str(parent) / "parent"
        if above.is_symlink():
            for each in (above.resolve() / "tree").iterdir():
                if not (tree_of(mounts) / each.name).exists():
                    shutil.copy(each, tree_of(mounts))
        return mounts


class Orphaning(Driver):
    """Lists no parents."""

    @hookimpl
    def list_snapshots(self) -> Sequence[Snapshot]:
        return [attrs.evolve(each, parent=None) for each in super().list_snapshots()]


class CommittingOnce(Driver):
    """Cannot be asked twice."""

    @hookimpl
    def commit(self, key: str, name: str) -> None:
        if not (self._active / key).exists():
            raise NotFound(key)
        super().commit(key, name)


class Agreeable(Driver):
    """Commits what is not there."""

    @hookimpl
    def commit(self, key: str, name: str) -> None:
        if (self._active / key).exists():
            super().commit(key, name)


class Adopting(Driver):
    """Takes nothing for a parent that is missing."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        known = parent if parent is not None and (self._committed / parent).exists() else None
        return super().prepare(key, known, writable, quota)


class RemovingOnce(Driver):
    """Cannot remove what is gone."""

    @hookimpl
    def remove(self, key: str) -> None:
        self._find(key)
        super().remove(key)


class Hoarding(Driver):
    """Keeps what was removed."""

    @hookimpl
    def remove(self, key: str) -> None:
        for folder in (self._active, self._committed):
            if (folder / key).exists():
                (folder / key).rename(self._new / f"{key}-{len(os.listdir(self._new))}")


class Restoring(Driver):
    """Brings back what was removed."""

    @hookimpl
    def remove(self, key: str) -> None:
        if (self._active / key).exists():
            shutil.copytree(self._active / key, self._new / f"{key}.old")
        super().remove(key)

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        if (self._new / f"{key}.old").exists():
            (self._new / f"{key}.old").rename(self._active / key)
        return super().prepare(key, parent, writable, quota)


class Amnesiac(Driver):
    """Forgets what was being written."""

    def __init__(self, context: Context) -> None:
        remove_tree(context.root / "active")
        super().__init__(context)


class Trusting(Driver):
    """Lets a view be written."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        (one,) = super().prepare(key, parent, writable, quota)
        return [attrs.evolve(one, options=("rbind", "rw"))]


class Careless(Driver):
    """Copies contents and nothing else."""

    def _make(self, key: str, parent: str | None, *, copied: bool) -> None:
        super()._make(key, parent, copied=copied)
        tree = self._active / key / "tree"
        if parent is not None and tree.exists():
            remove_tree(tree)
            shutil.copytree(self._committed / parent / "tree", tree, symlinks=True, ignore=_fifos)


def _fifos(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "fifo"]


class Plain(Driver):
    """Gives every tree's own folder the usual mode."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        mounts = super().prepare(key, parent, writable, quota)
        if not parent or writable:
            tree_of(mounts).chmod(0o755)
        return mounts


class Shallow(Driver):
    """Cannot go deep."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        if len(os.listdir(self._committed)) > 100:
            raise Conflict("too many layers")
        return super().prepare(key, parent, writable, quota)


class Counting(Driver):
    """Counts its parents too."""

    @hookimpl
    def usage(self, key: str) -> Usage:
        return Usage(*tree_usage(self._find(key) / "tree"))


class Excited(Driver):
    """Takes everything for new."""

    @hookimpl
    def changes(self, key: str) -> Sequence[Change]:
        return [attrs.evolve(each, kind="added") for each in super().changes(key)]


class Nervous(Driver):
    """Always sees a change."""

    @hookimpl
    def changes(self, key: str) -> Sequence[Change]:
        return [Change("/a", "modified"), *super().changes(key)]


class Mixing(Driver):
    """Takes an active snapshot for a parent."""

    @hookimpl
    def prepare(self, key: str, parent: str | None, writable: bool, quota: int | None) -> Sequence[Mount]:
        if parent is not None and (self._active / parent).exists():
            parent = None
        return super().prepare(key, parent, writable, quota)


class Telling(Driver):
    """Does all right, and says where its folders are."""

    @hookimpl
    def parts(self, key: str) -> Mapping[str, str]:
        for folder in (self._active, self._committed):
            if (folder / key).exists():
                return {"Tree": str(folder / key / "tree")}
        raise NotFound(f"there is no snapshot {key}")


class Wandering(Telling):
    """Says something else after each start."""

    starts = 0

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        Wandering.starts += 1

    @hookimpl
    def parts(self, key: str) -> Mapping[str, str]:
        return {"Tree": f"/{self.starts}/{key}"}


class Guessing(Telling):
    """Says where things would be."""

    @hookimpl
    def parts(self, key: str) -> Mapping[str, str]:
        return {"Tree": str(self._active / key)}


BROKEN: dict[str, type[Any]] = {
    "test_prepare_twice_gives_the_same_mounts": Fickle,
    "test_prepare_again_keeps_what_was_written": Restarting,
    "test_a_snapshot_without_parent_is_empty_and_writable": Littering,
    "test_a_child_shows_what_its_parents_have": Forgetting,
    "test_a_child_changes_nothing_of_its_parent": Sharing,
    "test_a_file_that_a_layer_removed_is_gone_for_its_children": Resurrecting,
    "test_snapshots_are_listed_with_kind_and_parent": Orphaning,
    "test_commit_twice_is_content": CommittingOnce,
    "test_commit_of_what_is_not_there_is_not_found": Agreeable,
    "test_a_parent_that_is_not_there_is_not_found": Adopting,
    "test_an_active_snapshot_is_no_parent": Mixing,
    "test_remove_may_be_repeated_and_takes_both_kinds": RemovingOnce,
    "test_a_removed_key_may_return_and_is_empty_then": Restoring,
    "test_a_removal_frees_the_space": Hoarding,
    "test_all_is_there_after_a_restart_of_the_engine": Amnesiac,
    "test_a_view_shows_its_parent_and_cannot_be_written": Trusting,
    "test_owners_modes_links_and_attributes_are_kept": Careless,
    "test_the_trees_own_folder_keeps_mode_and_owner": Plain,
    "test_many_layers_can_be_mounted_at_once": Shallow,
    "test_usage_counts_what_a_snapshot_adds_to_its_parent": Counting,
    "test_changes_are_those_to_the_parent": Excited,
    "test_nothing_written_is_nothing_changed": Nervous,
    "test_parts_are_paths_that_hold_as_long_as_the_snapshot_lives": Wandering,
    "test_what_is_not_there_has_no_parts": Guessing,
}
