"""Tar archives on the client's side: made of local files, their entries renamed, and extracted."""

from __future__ import annotations

import os
import tarfile

from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PIECE = 1 << 20
BLOCK = 512


def pieces_of(folder: str, base: str, rename: Callable[[str], str]) -> Iterator[bytes]:
    """The archive of `base` in `folder`, with all below it; sockets are left out. `rename` gives each entry its name."""
    with tarfile.open(os.devnull, "w", format=tarfile.PAX_FORMAT) as archive:  # knows what it takes to describe a file
        for path, name in _tree(os.path.join(folder, base), base):
            info = archive.gettarinfo(path, rename(name))
            if info is None:  # a socket
                continue
            info.mtime = int(info.mtime)
            yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            if info.isreg():
                yield from _content(path, info.size)
    yield bytes(2 * BLOCK)


def _tree(path: str, name: str) -> Iterator[tuple[str, str]]:
    yield path, name
    if os.path.isdir(path) and (not os.path.islink(path) or path.endswith("/.")):
        for entry in sorted(os.listdir(path)):
            yield from _tree(os.path.join(path, entry), f"{name}/{entry}")


def _content(path: str, size: int) -> Iterator[bytes]:
    left = size
    with open(path, "rb", buffering=0) as file:
        while left and (data := file.read(min(left, PIECE))):
            left -= len(data)
            yield data
    if left:
        raise CliError(f"{path} was cut while it was read")
    yield bytes(-size % BLOCK)


def renamer(old: str, new: str) -> Callable[[str], str]:
    """Gives entries that are `old`, or begin with it, `new` in its place."""

    def rename(name: str) -> str:
        if name == old:
            return new
        return new + name[len(old) :] if name.startswith(f"{old}/") or old == "/" else name

    return rename


class _Stream:
    """Pieces as a file to read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._data = b""

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer at the end."""
        parts, missing = [self._data], size - len(self._data)
        while missing > 0:
            data = next(self._pieces, b"")
            if not data:
                break
            parts.append(data)
            missing -= len(data)
        whole = b"".join(parts)
        self._data = whole[size:]
        return whole[:size]

    def rest(self) -> None:
        """Read to the end."""
        for _ in self._pieces:
            pass


def extract(pieces: Iterable[bytes], folder: str, rename: Callable[[str], str]) -> int:
    """Extract an archive into a folder, as the user that we are; returns the bytes of its files.

    Nothing leaves the folder, and no file takes a directory's place nor the other way.
    """
    stream, size = _Stream(pieces), 0
    folders: list[tarfile.TarInfo] = []
    with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE) as archive:  # type: ignore[call-overload]
        for member in archive:
            member.name = rename(member.name.strip("/") or ".")
            if member.islnk():
                member.linkname = rename(member.linkname.strip("/"))
            _check_kind(os.path.join(folder, member.name), member)
            size += member.size
            if member.isdir():
                folders.append(member)
            archive.extract(member, folder, set_attrs=not member.isdir(), filter=_inside)
        stream.rest()
    for member in reversed(folders):  # a folder that must not be written to can be filled before it is told so
        path = os.path.join(folder, member.name)
        os.chmod(path, member.mode)
        os.utime(path, (member.mtime, member.mtime))
    return size


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """As it is, or an error if it would leave the folder."""
    checked = tarfile.tar_filter(member, folder)
    return checked.replace(mode=member.mode, uid=os.geteuid(), gid=os.getegid(), uname="", gname="", deep=False)


def _check_kind(path: str, member: tarfile.TarInfo) -> None:
    if not os.path.lexists(path):
        return
    is_folder = os.path.isdir(path) and not os.path.islink(path)
    if is_folder and not member.isdir():
        raise CliError(f'cannot overwrite directory "{path}" with non-directory "{member.name}"')
    if not is_folder and member.isdir():
        raise CliError(f'cannot overwrite non-directory "{path}" with directory "{member.name}"')
    if not is_folder:
        os.unlink(path)
