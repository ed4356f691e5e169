"""wherry cp."""

from __future__ import annotations

import os
import posixpath
import sys

from wherry_cli.app import App, Command
from wherry_cli.archives import extract, pieces_of, renamer
from wherry_cli.commands._common import path_name
from wherry_cli.copying import Place, keep_end, local_source, local_target, plan, split
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output import human
from wherry_cli.streams import write_all
from wherry_client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

FOLDER, LINK = 1 << 31, 1 << 27  # bits of Go's file modes
PIECE = 1 << 20


def _split(text: str) -> tuple[str, str]:
    """(container, path) of CONTAINER:PATH; no container in a local path, which may have a colon after a slash."""
    if os.path.isabs(text):
        return "", text
    name, colon, path = text.partition(":")
    if not colon or name.startswith("."):
        return "", text
    return name, path


def _cp(app: App, values: Values, arguments: list[str]) -> int:
    (source, source_path), (target, target_path) = map(_split, arguments)
    if not source_path:
        raise CliError("source can not be empty")
    if not target_path:
        raise CliError("destination can not be empty")
    if source and target:
        raise CliError("copying between containers is not supported")
    if source:
        size = _copy_out(app, source, source_path, target_path, follow=values["follow-link"])
        shown = target_path
    elif target:
        size = _copy_in(app, source_path, target, target_path, values)
        shown = f"{target}:{target_path}"
    else:
        raise CliError("must specify at least one container source")
    if not values["quiet"] and os.isatty(2) and size >= 0:
        sys.stderr.write(f"Successfully copied {human.size(size)} to {shown}\n")
    return 0


def stat(app: App, container: str, path: str) -> Any:
    """What is at a path of a container: name, size, mode, linkTarget. Raises ApiError."""
    from base64 import b64decode
    from json import loads

    response = app.client.request("HEAD", f"/containers/{path_name(container)}/archive", {"path": path})
    response.read()
    return loads(b64decode(response.headers["x-docker-container-path-stat"]))


def _copy_out(app: App, container: str, path: str, target: str, *, follow: bool) -> int:
    path, rebase = "/" + path.lstrip("/"), ""
    place = local_target(target) if target != "-" else None
    if follow:
        path, rebase = _followed(app, container, path)
    response = app.client.request("GET", f"/containers/{path_name(container)}/archive", {"path": path})
    if place is None:
        for data in response.pieces():
            write_all(1, data)
        return -1
    from base64 import b64decode
    from json import loads

    found = loads(b64decode(response.headers["x-docker-container-path-stat"]))
    source = Place(path, exists=True, is_folder=bool(found["mode"] & FOLDER), rebase=rebase)
    folder, rename = plan(source, place)
    if not rebase:
        return extract(response.pieces(), folder, rename)
    first = renamer(split(path)[1], rebase)
    return extract(response.pieces(), folder, lambda name: rename(first(name)))


def _followed(app: App, container: str, path: str) -> tuple[str, str]:
    """Where a link leads, and the name under which it was known; other paths as they are."""
    found = stat(app, container, path)
    if not found["mode"] & LINK:
        return path, ""
    resolved = keep_end(posixpath.join(posixpath.dirname(path), found["linkTarget"]), path)
    name = posixpath.basename(path)
    return resolved, name if name != posixpath.basename(resolved) else ""


def _copy_in(app: App, path: str, container: str, target: str, values: Values) -> int:
    place = _container_target(app, container, "/" + target.lstrip("/"))
    pieces: Iterable[bytes]
    if path == "-":
        if not place.is_folder:
            raise CliError(f'destination "{container}:{target}" must be a directory')
        folder, pieces = place.path, _stdin()
    else:
        source = local_source(path, follow=values["follow-link"])
        folder, rename = plan(source, place)
        head, base = split(source.path)
        own = renamer(base, source.rebase) if source.rebase else renamer(base, base)
        pieces = pieces_of(head, base, lambda name: rename(own(name)))
    query = {"path": folder, "noOverwriteDirNonDir": "true", "copyUIDGID": values["archive"]}
    counted = _Counted(pieces)
    app.client.upload(
        f"/containers/{path_name(container)}/archive", query, counted, "application/x-tar", method="PUT"
    ).read()
    return counted.size


class _Counted:
    """Pieces, and how many bytes they were."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for data in self._pieces:
            self.size += len(data)
            yield data


def _container_target(app: App, container: str, path: str) -> Place:
    """Where a copy goes in a container; a link there is followed, if it leads anywhere.

    What cannot be looked up counts as missing: the upload tells what is wrong.
    """
    try:
        found = stat(app, container, path)
        if found["mode"] & LINK:
            path = posixpath.join(posixpath.dirname(path), found["linkTarget"])
            found = stat(app, container, path)
    except ApiError:
        return Place(path, exists=False, is_folder=False)
    return Place(path, exists=True, is_folder=bool(found["mode"] & FOLDER))


def _stdin() -> Iterator[bytes]:
    while data := os.read(0, PIECE):
        yield data


CP = Command(
    "container cp",
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\twherry cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files between a container and this host.",
    _cp,
    (
        Option("archive", "a", "bool", "Give what is copied in to the container's user."),
        Option("follow-link", "L", "bool", "Copy what a link in the source leads to instead of the link."),
        Option("quiet", "q", "bool", "Do not say on a terminal how much was copied."),
    ),
    least=2,
    most=2,
)
