"""Archives made byte by byte, also such as no tool would make, and descriptions of trees."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

END = bytes(1024)


def header(
    name: bytes = b"",
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    link: bytes = b"",
    mode: int = 0o644,
    uid: int | bytes = 0,
    gid: int = 0,
    mtime: int | bytes = 1_000_000_000,
    prefix: bytes = b"",
    device: tuple[int | bytes, int | bytes] = (0, 0),
    magic: bytes = b"ustar\x0000",
) -> bytes:
    """One header block with a right checksum; numbers given as bytes are put in as they are."""

    def octal(value: int | bytes, width: int) -> bytes:
        return value.ljust(width, b"\0") if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)

    block = bytearray(512)
    for at, field in (
        (0, name[:100]), (100, octal(mode, 8)), (108, octal(uid, 8)), (116, octal(gid, 8)), (124, octal(size, 12)),
        (136, octal(mtime, 12)), (148, b" " * 8), (156, kind), (157, link[:100]), (257, magic),
        (329, octal(device[0], 8)), (337, octal(device[1], 8)), (345, prefix),
    ):  # fmt: skip
        block[at : at + len(field)] = field
    return signed(bytes(block))


def signed(block: bytes) -> bytes:
    """The block with its checksum."""
    cleared = block[:148] + b" " * 8 + block[156:]
    return cleared[:148] + b"%06o\0 " % sum(cleared) + cleared[156:]


def padded(data: bytes) -> bytes:
    """Data filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def file(name: bytes, data: bytes = b"", mode: int = 0o644) -> bytes:
    """A regular file."""
    return header(name, size=len(data), mode=mode) + padded(data)


def folder(name: bytes, mode: int = 0o755) -> bytes:
    """A directory."""
    return header(name, b"5", mode=mode)


def symlink(name: bytes, target: bytes) -> bytes:
    """A symbolic link."""
    return header(name, b"2", link=target, mode=0o777)


def hardlink(name: bytes, target: bytes) -> bytes:
    """A further name of a file."""
    return header(name, b"1", link=target)


def records(values: Mapping[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A PAX extended header."""
    data = b"".join(record(key, value) for key, value in values.items())
    return header(b"PaxHeaders/x", kind, size=len(data)) + padded(data)


def record(key: bytes, value: bytes) -> bytes:
    """One record, whose length counts its own digits."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    if len(str(length)) + len(body) != length:
        length += 1
    return b"%d" % length + body


def describe(root: Path) -> dict[bytes, tuple[object, ...]]:
    """All that matters of a tree: by path, the kind, mode, owner, time, contents, links and attributes."""
    first: dict[int, bytes] = {}
    return {path: _describe_one(os.path.join(os.fsencode(root), path), path, first) for path in sorted(_paths(root))}


def _paths(root: Path) -> Iterator[bytes]:
    top = os.fsencode(root)
    yield b"."
    for at, folders, files in os.walk(top):
        for name in folders + files:
            yield os.path.relpath(os.path.join(at, name), top)


def _describe_one(full: bytes, path: bytes, first: dict[int, bytes]) -> tuple[object, ...]:
    found = os.lstat(full)
    content: object = b""
    if stat.S_ISREG(found.st_mode):
        with open(full, "rb") as opened:
            content = opened.read()
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(full)
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        content = found.st_rdev
    attributes = {
        key: os.getxattr(full, key, follow_symlinks=False) for key in os.listxattr(full, follow_symlinks=False)
    }
    same_as = None if stat.S_ISDIR(found.st_mode) else first.setdefault(found.st_ino, path)
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, content, same_as, attributes
