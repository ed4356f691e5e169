"""A volume driver that is as it should be, and others that do one thing wrong each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Conflict, NotFound
from wherry.linux.files import remove_tree, tree_usage
from wherry.spec.volume import Context, Mount, Usage, VolumeDriver, hookimpl, option


class Folders(VolumeDriver):
    """Volumes are folders."""

    def __init__(self, context: Context) -> None:
        self.root = context.root

    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        (self.root / name).mkdir(exist_ok=True)
        return str(self.root / name)

    @hookimpl
    def remove(self, name: str) -> None:
        remove_tree(self.root / name)

    @hookimpl
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        return [Mount("bind", str(self.root / name), ("rbind", "rw"))]

    @hookimpl
    def list_volumes(self) -> Sequence[str]:
        return sorted(os.listdir(self.root))

    @hookimpl
    def detach(self, name: str) -> None:
        return None

    @hookimpl
    def usage(self, name: str) -> Usage:
        return Usage(*tree_usage(self.root / name))


class Littering(Folders):
    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        path = super().create(name, options)
        (self.root / name / "readme").touch()
        return path


class Volatile(Folders):
    """Shows an empty place each time."""

    @hookimpl
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        return [Mount("tmpfs", "tmpfs")]


class Fickle(Folders):
    calls = 0

    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        self.calls += 1
        path = super().create(name, options)
        return path if self.calls % 2 else None

    @hookimpl
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        self.calls += 1
        (one,) = super().attach(name, options)
        return [attrs.evolve(one, options=(*one.options, *["nosuid"] * (self.calls % 2)))]


class Emptying(Folders):
    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        super().remove(name)
        return super().create(name, options)


class Common(Folders):
    """Has one place for all."""

    @hookimpl
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        return [Mount("bind", str(self.root / min(os.listdir(self.root))), ("rbind", "rw"))]


class Misleading(Folders):
    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        super().create(name, options)
        return "/nowhere"


class Amnesiac(Folders):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        for name in os.listdir(context.root):
            remove_tree(context.root / name)


class Silent(Folders):
    """Lists one volume alone."""

    @hookimpl
    def list_volumes(self) -> Sequence[str]:
        return super().list_volumes()[:1]


class Keeping(Folders):
    @hookimpl
    def remove(self, name: str) -> None:
        return None


class RemovingOnce(Folders):
    @hookimpl
    def remove(self, name: str) -> None:
        if not (self.root / name).exists():
            raise NotFound(name)
        super().remove(name)


class Sweeping(Folders):
    """Removes whatever begins with the name."""

    @hookimpl
    def remove(self, name: str) -> None:
        for each in self.root.glob(f"{name}*"):
            shutil.rmtree(each)


class Following(Folders):
    """Removes what links lead to."""

    @hookimpl
    def remove(self, name: str) -> None:
        for entry in Path(self.root / name).iterdir() if (self.root / name).exists() else ():
            if entry.is_symlink():
                shutil.rmtree(entry.resolve())
        super().remove(name)


class Strict(Folders):
    """Knows better whose data it is."""

    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        path = super().create(name, options)
        os.chown(self.root / name, 0, 0)
        (self.root / name).chmod(0o755)
        return path


@attrs.frozen
class Anything:
    any: str = option("no-driver-has-this", str, default="", help="Whatever it is, it is taken")


class Lax(Folders):
    OPTIONS = Anything


class Overcounting(Folders):
    @hookimpl
    def usage(self, name: str) -> Usage:
        size, inodes = tree_usage(self.root)
        return Usage(size * 2, inodes)


class DetachingOnce(Folders):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.used: set[str] = set()

    @hookimpl
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        self.used.add(name)
        return super().attach(name, options)

    @hookimpl
    def detach(self, name: str) -> None:
        if name not in self.used:
            raise Conflict(f"{name} is not attached")
        self.used.discard(name)


BROKEN: dict[str, type[Any]] = {
    "test_a_new_volume_is_empty": Littering,
    "test_what_is_written_is_there_at_the_next_use": Volatile,
    "test_create_twice_gives_the_same_answer": Fickle,
    "test_create_twice_keeps_the_data": Emptying,
    "test_attach_twice_gives_the_same_mounts": Fickle,
    "test_volumes_share_nothing": Common,
    "test_the_path_that_create_tells_shows_the_data": Misleading,
    "test_all_is_there_after_a_restart_of_the_engine": Amnesiac,
    "test_volumes_are_listed_as_long_as_they_are_there": Silent,
    "test_remove_takes_the_data": Keeping,
    "test_remove_may_be_repeated": RemovingOnce,
    "test_remove_takes_nothing_of_another_volume": Sweeping,
    "test_remove_follows_no_link": Following,
    "test_owner_and_mode_of_the_data_are_the_users": Strict,
    "test_an_unknown_option_is_refused": Lax,
    "test_usage_counts_the_data": Overcounting,
    "test_detach_may_be_repeated_and_keeps_the_data": DetachingOnce,
}
