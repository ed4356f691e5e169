"""Helper jobs on the files of a container: `cp` both ways, `export`, and the tar of what changed.

Paths are a container's, which may change its tree meanwhile: each is looked up with the container's root as root, and
from then on only descriptors are used.
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.errors import Invalid, NotFound
from wherry.linux.compressed import is_damage, unpacked
from wherry.linux.mount_trees import lookup
from wherry.linux.steps import step
from wherry.linux.tar import Placing, place
from wherry.linux.tar_write import TarWriter, open_folder
from wherry.linux.users import resolve_user
from wherry_engine.helper.view import View, enter

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def get(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Write one line of JSON (name, size, mode, mtime_ns, target) about "path" into the descriptor, then its archive.

    Without "content" only the line. Other arguments: those of a view. Raises `NotFound`.
    """
    view = enter(arguments)
    path = _clean(str(arguments["path"]))
    found = _Found(view, path)
    with step("helper.archive.get"):
        os.write(fds[0], json.dumps(found.description()).encode() + b"\n")
        if arguments["content"]:
            found.write(TarWriter(fds[0]))
    return None


def put(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Extract the archive that the descriptor gives, plain or compressed, into the folder "path".

    "keep_kinds": no file takes a directory's place nor the other way; "owner": a user, as containers name one, whom all
    entries will belong to, or "" for what they say; "readonly_rootfs"; and those of a view. Raises `NotFound`, `Invalid`.
    """
    view = enter(arguments)
    path = str(arguments["path"])
    try:
        folder = lookup(view.root, os.fsencode(_clean(path)))
    except OSError as error:
        raise _missing(path, error) from error
    if not stat.S_ISDIR(os.fstat(folder).st_mode):
        raise Invalid("extraction point is not a directory")
    view.check_writable(folder, readonly_rootfs=bool(arguments["readonly_rootfs"]))
    inside = os.fsencode(view.path_of(folder)).strip(b"/")
    opened = os.open(f"/proc/self/fd/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    owner = None
    if arguments["owner"]:
        user = resolve_user(Path(str(arguments["at"])), str(arguments["owner"]), ())
        owner = (user.uid, user.gid)
    placing = Placing(inside, opened, owner, bool(arguments["keep_kinds"]))
    with step("helper.archive.put"), os.fdopen(os.dup(fds[0]), "rb", 1 << 20) as stream:
        try:
            place(unpacked(stream), view.root, placing)
        except Exception as error:
            if is_damage(error):
                raise Invalid(f"the archive is damaged or incomplete: {error}") from error
            raise
    return None


def export(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Write the archive of the root file system, without what is mounted in it. Arguments: those of a view."""
    view = enter({**arguments, "binds": []})
    writer = TarWriter(fds[0])
    with step("helper.archive.export"):
        writer.tree(view.root, None, enter_mounts=False)
        writer.end()
    return None


def layer(arguments: Mapping[str, object], fds: Sequence[int]) -> object:
    """Write the archive of a layer: what the second descriptor lists, lines of JSON [path, kind], as `changes` tells it.

    Arguments: those of a view.
    """
    view = enter({**arguments, "binds": []})
    writer = TarWriter(fds[0])
    with step("helper.archive.layer"), os.fdopen(os.dup(fds[1])) as changes:
        for line in changes:
            path, kind = json.loads(line)
            _layer_entry(view, writer, os.fsencode(path).strip(b"/"), kind)
        writer.end()
    return None


def _layer_entry(view: View, writer: TarWriter, path: bytes, kind: str) -> None:
    parent, _, name = path.rpartition(b"/")
    if kind == "deleted":
        writer.raw(f"{os.fsdecode(parent)}/.wh.{os.fsdecode(name)}".lstrip("/").encode("utf-8", "surrogateescape"))
        return
    try:
        directory = lookup(view.root, b"/" + parent, os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _MISSING:  # gone since the changes were listed
            return
        raise
    try:
        if writer.entry(directory, name, path):
            opened = open_folder(directory, name)
            try:
                writer.directory(opened, path + b"/")
            finally:
                os.close(opened)
    finally:
        os.close(directory)


class _Found:
    """What a path names: the entry of an opened directory, itself not followed, or with a slash at the end a directory."""

    def __init__(self, view: View, path: str) -> None:
        self._view, self._path = view, path
        stripped = path.rstrip("/")
        self.name = posixpath.basename(stripped) or "/"
        followed = path.endswith("/") or self.name == "."
        head = stripped.rpartition("/")[0]
        try:
            if followed:
                self._directory = lookup(view.root, os.fsencode(path), os.O_DIRECTORY)
                self._entry = b"."
            else:
                self._directory = lookup(view.root, os.fsencode(head or "/"), os.O_DIRECTORY)
                self._entry = os.fsencode(self.name)
            self._stat = os.stat(self._entry, dir_fd=self._directory, follow_symlinks=False)
        except OSError as error:
            raise _missing(path, error) from error

    def description(self) -> dict[str, object]:
        """What `docker cp` asks first."""
        link = stat.S_ISLNK(self._stat.st_mode)
        return {
            "name": self.name,
            "size": self._stat.st_size,
            "mode": self._stat.st_mode,
            "mtime_ns": self._stat.st_mtime_ns,
            "target": self._target() if link else "",
        }

    def _target(self) -> str:
        """Where the link leads in the end, as far as that exists."""
        try:
            opened = lookup(self._view.root, os.fsencode(self._path))
        except OSError:
            text = os.readlink(self._entry, dir_fd=self._directory)
            return posixpath.normpath(posixpath.join(self._view.path_of(self._directory), os.fsdecode(text)))
        try:
            return self._view.path_of(opened)
        finally:
            os.close(opened)

    def write(self, writer: TarWriter) -> None:
        """The archive: a directory with all in it, a link as a link."""
        name = b"" if self.name == "/" else os.fsencode(self.name)
        if stat.S_ISDIR(self._stat.st_mode):
            opened = open_folder(self._directory, self._entry)
            try:
                writer.tree(opened, name, enter_mounts=True)
            finally:
                os.close(opened)
        else:
            writer.entry(self._directory, self._entry, name)
        writer.end()


def _clean(path: str) -> str:
    """The path from the container's root in its shortest form; a slash or /. at its end stays."""
    if "\0" in path:
        raise Invalid("the path has a zero byte")
    short = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/."):
        return f"{short}/." if short != "/" else "/."
    return f"{short}/" if path.endswith("/") and short != "/" else short


def _missing(path: str, error: OSError) -> Exception:
    if error.errno in _MISSING:
        return NotFound(path)
    return error
