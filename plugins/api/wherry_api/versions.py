"""Versions of the API: which a request asks for, and which are served."""

from __future__ import annotations

import re

from wherry.errors import Invalid

Version = tuple[int, int]
OLDEST: Version = (1, 24)
NEWEST: Version = (1, 50)
_PREFIX = re.compile(r"/v(\d{1,4})\.(\d{1,4})(?=/)", re.ASCII)


def version_text(version: Version) -> str:
    """(1, 50) as 1.50."""
    return f"{version[0]}.{version[1]}"


def split_version(path: str) -> tuple[Version, str]:
    """The version that a path asks for (the newest if it names none) and the rest of the path. Raises `Invalid`."""
    if not path.startswith("/v") or (match := _PREFIX.match(path)) is None:
        return NEWEST, path
    version = (int(match[1]), int(match[2]))
    if version > NEWEST:
        raise Invalid(
            f"client version {version_text(version)} is too new. Maximum supported API version is {version_text(NEWEST)}"
        )
    if version < OLDEST:
        raise Invalid(
            f"client version {version_text(version)} is too old. Minimum supported API version is "
            f"{version_text(OLDEST)}, please upgrade your client to a newer version"
        )
    return version, path[match.end() :]
