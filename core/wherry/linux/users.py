"""Users and groups of a container, by the image's own /etc/passwd and /etc/group.

These files are the image's: each may be missing, a link to anywhere, a fifo, a device, huge or nonsense. They are
looked up with the image as root, opened without waiting, and read up to a limit. Lines that are no entries are passed
over; they never stand for root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wherry.errors import Invalid
from wherry.linux.openat2 import openat2

_LIMIT = 8 << 20
_HIGHEST = (1 << 31) - 1  # what Docker allows


class User(NamedTuple):
    """Who a process is. `groups` begins with `gid` and has no group twice."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class _Account(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(root: Path, text: str, extra_groups: Sequence[str] = ()) -> User:
    """The user that `text` means in the tree `root`: "" (root), NAME, UID, and either with :GROUP or :GID.

    A number is an id and need not be known. Without a group the known user's own group counts, and all groups that list
    its name. `extra_groups` are names or ids. Raises `Invalid` for a name that is not there.
    """
    user, colon, group = text.partition(":")
    groups = _groups(root)
    account = _account(_accounts(root), user)
    chosen = [entry.gid for entry in groups if account.name and account.name in entry.members]
    gid = account.gid
    if colon and group:
        gid = _group_id(groups, group)
        chosen = []
    extra = [_group_id(groups, name) for name in extra_groups]
    return User(account.uid, gid, tuple(dict.fromkeys([gid, *chosen, *extra])), account.home)


def _account(accounts: Sequence[_Account], user: str) -> _Account:
    uid = 0 if user == "" else _number(user)
    for entry in accounts:
        if entry.uid == uid if uid is not None else entry.name == user:
            return entry
    if uid is None:
        raise Invalid(f"unable to find user {user}: no matching entries in passwd file")
    return _Account("", _checked(uid), 0, "/")


def _group_id(groups: Sequence[_Group], group: str) -> int:
    gid = _number(group)
    for entry in groups:
        if entry.gid == gid if gid is not None else entry.name == group:
            return entry.gid
    if gid is None:
        raise Invalid(f"unable to find group {group}: no matching entries in group file")
    return _checked(gid)


def _checked(number: int) -> int:
    if not 0 <= number <= _HIGHEST:
        raise Invalid(f"uids and gids must be in range 0-{_HIGHEST}, not {number}")
    return number


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def _accounts(root: Path) -> list[_Account]:
    found = []
    for name, _, uid, gid, *rest in (fields for fields in _lines(root, "/etc/passwd") if len(fields) >= 4):
        if _is_id(uid) and _is_id(gid):
            home = rest[1] if len(rest) > 1 else ""
            found.append(_Account(name, int(uid), int(gid), home or "/"))
    return found


def _groups(root: Path) -> list[_Group]:
    found = []
    for name, _, gid, *rest in (fields for fields in _lines(root, "/etc/group") if len(fields) >= 3):
        if _is_id(gid):
            members = rest[0].split(",") if rest else []
            found.append(_Group(name, int(gid), tuple(filter(None, members))))
    return found


def _is_id(text: str) -> bool:
    number = _number(text)
    return number is not None and 0 <= number <= _HIGHEST


def _lines(root: Path, path: str) -> list[list[str]]:
    text = _read(root, path).decode("utf-8", "surrogateescape")
    lines = (line.strip() for line in text.split("\n"))
    return [line.split(":") for line in lines if line and not line.startswith("#")]


def _read(root: Path, path: str) -> bytes:
    """The content of an image's file; nothing if there is no such file. Raises `Invalid` if it is no file to read."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        opened = openat2(top, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return b""
        raise Invalid(f"{path} of the image cannot be read: {error.strerror}") from error
    finally:
        os.close(top)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise Invalid(f"{path} of the image is not a regular file")
        if found.st_size > _LIMIT:
            raise Invalid(f"{path} of the image is larger than {_LIMIT >> 20} MiB")
        with open(opened, "rb", closefd=False) as file:
            return file.read(_LIMIT)
    finally:
        os.close(opened)
