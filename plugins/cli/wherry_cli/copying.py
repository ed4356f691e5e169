"""Where a copy goes and what it is called there: Docker's rules of `cp`, for both directions."""

from __future__ import annotations

import os
import posixpath

from wherry_cli.archives import renamer
from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Place:
    """One end of a copy. `rebase` is the name under which a followed link was known, "" for none."""

    __slots__ = ("exists", "is_folder", "path", "rebase")

    def __init__(self, path: str, *, exists: bool, is_folder: bool, rebase: str = "") -> None:
        self.path = path
        self.exists = exists
        self.is_folder = is_folder
        self.rebase = rebase


def names_folder(path: str) -> bool:
    """Whether a path says that it is a directory."""
    return path.endswith("/") or posixpath.basename(path) == "."


def split(path: str) -> tuple[str, str]:
    """The directory and the last name; the name is "." where the contents are meant."""
    cleaned = posixpath.normpath(path)
    if posixpath.basename(path) == ".":
        return cleaned, "."
    head, base = posixpath.split(cleaned)
    return head, base or "/"


def keep_end(short: str, path: str) -> str:
    """`short` with the slash or /. that `path` ends in."""
    if posixpath.basename(path) == "." and posixpath.basename(short) != ".":
        return f"{short.rstrip('/')}/."
    return f"{short}/" if path.endswith("/") and not short.endswith("/") else short


def plan(source: Place, target: Place) -> tuple[str, Callable[[str], str]]:
    """The folder to extract into, and the names of the entries there. Raises CliError for what cannot be copied."""
    folder, base = split(target.path)
    own = source.rebase or split(source.path)[1]
    if target.exists and target.is_folder:
        return target.path, lambda name: name
    if target.exists and source.is_folder:
        raise CliError("cannot copy directory")
    if not target.exists and not source.is_folder and names_folder(target.path):
        raise CliError("no such directory")
    return folder, renamer(own, base)


def local_source(path: str, *, follow: bool) -> Place:
    """A local file or directory to be copied. Raises CliError if it is not there."""
    absolute = keep_end(os.path.normpath(os.path.join(os.getcwd(), path)), path)
    stripped = absolute.rstrip("/") or "/"
    if follow:
        resolved = os.path.realpath(stripped)
    else:
        folder, base = os.path.split(stripped)
        resolved = os.path.join(os.path.realpath(folder), base) if base != "." else f"{os.path.realpath(folder)}/."
    if not os.path.lexists(resolved):
        raise CliError(f"lstat {resolved}: no such file or directory")
    is_folder = os.path.isdir(resolved) and not os.path.islink(resolved)
    if path.endswith("/") and os.path.isdir(resolved):  # a link with a slash is what it leads to
        resolved, is_folder = os.path.realpath(resolved), True
    if names_folder(path) and not is_folder:
        raise CliError("not a directory")
    known = os.path.basename(stripped)
    rebase = known if known not in (".", os.path.basename(resolved)) else ""
    return Place(keep_end(resolved, path), exists=True, is_folder=is_folder, rebase=rebase)


def local_target(path: str) -> Place:
    """Where a copy is to go on this host. Raises CliError if the directory that it lies in is missing."""
    at = keep_end(os.path.normpath(os.path.join(os.getcwd(), path)), path)
    for _ in range(10):
        stripped = at.rstrip("/") or "/"
        if not os.path.islink(stripped):
            break
        at = os.path.join(os.path.dirname(stripped), os.readlink(stripped))
    if not os.path.isdir(os.path.dirname(at.rstrip("/")) or "/"):
        raise CliError(f'invalid output path: directory "{os.path.dirname(at)}" does not exist')
    return Place(at, exists=os.path.exists(at.rstrip("/") or "/"), is_folder=os.path.isdir(at.rstrip("/") or "/"))
