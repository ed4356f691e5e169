"""The hooks of the volume driver local."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.linux.files import clear_directory, remove_tree, sync_directory, tree_usage
from wherry.linux.mounts import is_mount
from wherry.spec.volume import Conflict, Context, Invalid, Mount, NotFound, Usage, VolumeDriver, hookimpl, option

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_SECRETS = ("password", "password2", "pass")


@attrs.frozen
class Options:
    """As for mount(8). None of them: a folder in the driver's root."""

    type: str = option(
        "type", str, default="", help="file system type, such as nfs, cifs, tmpfs, ext4; none for a bind"
    )
    o: str = option("o", str, default="", help="mount options, separated by commas; for a bind: bind or rbind, ro")
    size: str = option("size", str, default="", help="not accepted: the folders of this driver have no quotas")
    device: str = option("device", str, default="", help="what to mount: a path, HOST:/PATH, //HOST/SHARE, tmpfs")


class Driver(VolumeDriver):
    """ROOT/NAME/_data holds the data of a volume without options; with options it stays empty.

    A volume appears and disappears by one rename, so whoever is killed leaves nothing half-made that would be listed.
    """

    OPTIONS = Options

    def __init__(self, context: Context) -> None:
        self._root = context.root
        self._new = context.root / ".new"
        clear_directory(self._new, 0o700)

    @hookimpl
    def create(self, name: str, options: Any) -> str | None:
        """Data of a volume without options shows in its folder; what options mount is reached at `attach` only."""
        if not _NAME.fullmatch(name):
            raise Invalid(
                f'"{name}" includes invalid characters for a local volume name, only "{_NAME.pattern}" is allowed'
            )
        mounted = _mount(options) is not None  # faults in options show now
        if not (self._root / name).exists():
            new = self._new / name
            remove_tree(new)
            new.mkdir()
            new.chmod(0o701)
            (new / "_data").mkdir()
            (new / "_data").chmod(0o755)
            new.rename(self._root / name)
            sync_directory(self._root)
        return None if mounted else str(self._data(name))

    @hookimpl
    def remove(self, name: str) -> None:
        """Rename out of the way, then delete."""
        if is_mount(str(self._data(name))):
            raise Conflict(f"volume {name} is still mounted on {self._data(name)}")
        trash = self._new / name
        remove_tree(trash)  # what an earlier call could not finish
        try:
            (self._root / name).rename(trash)
        except FileNotFoundError:
            return
        sync_directory(self._root)
        remove_tree(trash)

    @hookimpl
    def attach(self, name: str, options: Any) -> Sequence[Mount]:
        """One mount: what the options say, or a bind of the folder."""
        if not self._data(name).exists():
            raise NotFound(f"there is no volume {name}")
        return [_mount(options) or Mount("bind", str(self._data(name)), ("rbind", "rw"))]

    @hookimpl
    def list_volumes(self) -> Sequence[str]:
        """By what is in the folder."""
        return sorted(at.name for at in self._root.iterdir() if at != self._new and (at / "_data").is_dir())

    @hookimpl
    def usage(self, name: str) -> Usage:
        """The folder's files; what is mounted is not counted."""
        if not self._data(name).exists():
            raise NotFound(f"there is no volume {name}")
        return Usage(*tree_usage(self._data(name)))

    def _data(self, name: str) -> Path:
        return self._root / name / "_data"


def _mount(options: Options) -> Mount | None:
    """What the options say to mount; None without options. Raises `Invalid`, in Docker's words."""
    given = {key: value for key, value in attrs.asdict(options).items() if value}
    if options.size:
        raise Invalid("quota size requested but no quota support")
    if not given:
        return None
    for key in ("device", "type"):
        if key not in given:
            raise Invalid(f'missing required option: "{key}"')
    words = [word for word in options.o.split(",") if word]
    binds = [word for word in words if word in ("bind", "rbind")]
    if binds:
        if not options.device.startswith("/"):
            raise Invalid(f"the device of a bind is an absolute path, not {options.device!r}")
        others = tuple(word for word in words if word not in ("bind", "rbind"))
        return Mount("bind", options.device, (binds[-1], *others))
    if options.type == "none":
        raise Invalid("a volume of type none is a bind: it needs bind or rbind among the options o")
    secrets = tuple(word for word in words if word.partition("=")[0] in _SECRETS)
    return Mount(options.type, options.device, tuple(word for word in words if word not in secrets), secrets)
