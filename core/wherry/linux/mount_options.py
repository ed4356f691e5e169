"""The words that fstab(5) and fsconfig(2) use for a mount, sorted by what the kernel makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

# include/uapi/linux/mount.h
_FLAGS = {
    "ro": 0x1, "nosuid": 0x2, "nodev": 0x4, "noexec": 0x8, "sync": 0x10, "mand": 0x40, "dirsync": 0x80,
    "nosymfollow": 0x100, "noatime": 0x400, "nodiratime": 0x800, "silent": 0x8000, "relatime": 0x200000,
    "strictatime": 0x1000000, "lazytime": 0x2000000,
}  # fmt: skip
_CLEARS = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync", "nomand": "mand",
    "symfollow": "nosymfollow", "atime": "noatime", "diratime": "nodiratime", "loud": "silent",
    "norelatime": "relatime", "nostrictatime": "strictatime", "nolazytime": "lazytime", "defaults": "",
}  # fmt: skip
_RECURSIVE = 0x4000
_PROPAGATION = {"unbindable": 0x20000, "private": 0x40000, "slave": 0x80000, "shared": 0x100000}
_PROPAGATION |= {f"r{word}": flag | _RECURSIVE for word, flag in _PROPAGATION.items()}
# What mount_setattr(2) and fsmount(2) know: the properties of one mount, not of its file system.
_ATTRIBUTES = {
    "ro": 0x1, "nosuid": 0x2, "nodev": 0x4, "noexec": 0x8, "relatime": 0x0, "noatime": 0x10, "strictatime": 0x20,
    "nodiratime": 0x80, "nosymfollow": 0x200000,
}  # fmt: skip
_OF_FILE_SYSTEM = ("ro", "sync", "mand", "dirsync", "lazytime")
_ATIMES, _ATIME_MASK = {"relatime", "noatime", "strictatime"}, 0x70
LOWER = "lowerdir+="


class Words(NamedTuple):
    """Options sorted: `flags` are words in force, `data` goes to the file system, `propagation` are MS_* to apply after."""

    flags: tuple[str, ...]
    data: tuple[str, ...]
    propagation: tuple[int, ...]

    def bits(self) -> int:
        """The flags as mount(2) takes them."""
        return sum(_FLAGS[word] for word in self.flags)

    def attributes(self) -> int:
        """Those flags that belong to the mount, as fsmount(2) takes them."""
        return sum(_ATTRIBUTES.get(word, 0) for word in self.flags)

    def cleared(self) -> int:
        """What mount_setattr(2) must clear for them: a mode of atime replaces the one before."""
        return _ATIME_MASK if _ATIMES.intersection(self.flags) else 0

    def of_file_system(self) -> tuple[str, ...]:
        """Those flags that fsconfig(2) takes by name."""
        return tuple(word for word in self.flags if word in _OF_FILE_SYSTEM)


def sort_options(options: Iterable[str]) -> Words:
    """Later words win: ("ro", "rw") is neither."""
    flags: dict[str, None] = {}
    data: list[str] = []
    propagation: list[int] = []
    for option in options:
        if option in _FLAGS:
            flags[option] = None
        elif option in _CLEARS:
            flags.pop(_CLEARS[option], None)
        elif option in _PROPAGATION:
            propagation.append(_PROPAGATION[option])
        elif option:
            data.append(option)
    return Words(tuple(flags), tuple(data), tuple(propagation))


def join_layers(data: Sequence[str]) -> list[str]:
    """The same options with all `lowerdir+=PATH` in one `lowerdir=`, where a colon within a path is escaped."""
    lowers = [option.removeprefix(LOWER) for option in data if option.startswith(LOWER)]
    rest = [option for option in data if not option.startswith(LOWER)]
    escaped = (path.replace("\\", "\\\\").replace(":", "\\:") for path in lowers)
    return [f"lowerdir={':'.join(escaped)}", *rest] if lowers else rest
