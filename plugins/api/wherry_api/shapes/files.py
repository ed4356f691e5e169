"""Files of containers: what is at a path, and what changed."""

from __future__ import annotations

import stat
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from wherry.model.files import PathStat
from wherry.model.mounts import Change
from wherry_api.shapes.times import time_text

# Go's io/fs.FileMode, which the API carries: the permissions as they are, all else in bits of its own.
_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
_CHANGES = {"modified": 0, "added": 1, "deleted": 2}


def go_mode(mode: int) -> int:
    """A mode of stat(2) in Go's bits."""
    found = mode & 0o777 | _KINDS.get(stat.S_IFMT(mode), 0)
    return found | sum(bit for own, bit in _BITS.items() if mode & own)


def stat_header(found: PathStat) -> str:
    """What is at a path, as the header carries it."""
    value = {
        "name": found.name,
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": time_text(found.mtime_ns),
        "linkTarget": found.target,
    }
    return b64encode(orjson.dumps(value)).decode()


def changes_json(changes: Sequence[Change]) -> list[dict[str, Any]] | None:
    """What changed, by path; null for nothing."""
    return [{"Path": each.path, "Kind": _CHANGES[each.kind]} for each in changes] or None
