"""Where a layer's tar lies, and its plain bytes, however they are compressed there."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import attrs

from wherry.errors import Invalid
from wherry.linux.compressed import FORMATS, MAGIC, Unpack, is_damage

CHUNK = 1 << 20
_WINDOW = 1 << 27  # bytes of memory that a zstd stream may ask for: that of `zstd --long`


@attrs.frozen
class Source:
    """A part of a file: a tar, plain or compressed."""

    path: Path
    offset: int
    size: int


@attrs.frozen
class WholeFile:
    """A file that is one layer's tar, plain or compressed, and the digest of the plain tar."""

    source: Source
    diff_id: str


def _zstd(file: IO[bytes]) -> IO[bytes]:
    import zstandard  # few archives need it, and it takes a while to import

    unpack = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return cast(IO[bytes], unpack.stream_reader(file, read_across_frames=True))


_FORMATS: dict[bytes, Unpack] = FORMATS | {b"\x28\xb5\x2f\xfd": _zstd}  # RFC 8878


class _Part(io.RawIOBase):
    """A source's bytes as a file of their own."""

    def __init__(self, source: Source, progress: Callable[[int, int], None]) -> None:
        self._progress, self._size = progress, source.size
        self._file = source.path.open("rb", buffering=0)
        self._file.seek(source.offset)
        self._left = source.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")[: self._left]  # type: ignore[arg-type]
        count = self._file.readinto(view) or 0
        if not count and self._left:
            raise EOFError(f"the archive ends {self._left} bytes early")
        self._left -= count
        self._progress(self._size - self._left, self._size)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def plain_tar(source: Source, progress: Callable[[int, int], None] = lambda done, size: None) -> Iterator[bytes]:
    """The plain bytes, in pieces of up to a mebibyte; `progress` hears of those read. Raises `Invalid` if not whole."""
    try:
        with io.BufferedReader(_Part(source, progress), CHUNK) as file:
            unpack = _format(file.peek(MAGIC))
            reading = unpack(file) if unpack is not None else file
            while data := reading.read(CHUNK):
                yield data
    except Exception as error:
        # zstandard has an error of its own, and is imported only where it is needed.
        if is_damage(error) or type(error).__name__ == "ZstdError":
            raise Invalid(f"the archive is damaged or incomplete: {error}") from error
        raise


def _format(start: bytes) -> Unpack | None:
    return next((unpack for magic, unpack in _FORMATS.items() if start.startswith(magic)), None)


def is_compressed(path: Path) -> bool:
    """Whether a file begins as one of the known compressed formats does."""
    with path.open("rb") as file:
        return _format(file.read(MAGIC)) is not None


def unpack_file(path: Path) -> None:
    """Make a compressed file a plain one. Raises `Invalid`."""
    plain = path.with_name(f"{path.name}.plain")
    try:
        with plain.open("wb", buffering=0) as file:
            for data in plain_tar(Source(path, 0, path.stat().st_size)):
                file.write(data)
        plain.rename(path)
    finally:
        plain.unlink(missing_ok=True)


def whole_file(path: Path, content: str) -> WholeFile:
    """The layer that a received file is; `content` is the digest of the file as it lies there."""
    source = Source(path, 0, path.stat().st_size)
    if not is_compressed(path):
        return WholeFile(source, content)
    plain = hashlib.sha256()
    for data in plain_tar(source):
        plain.update(data)
    return WholeFile(source, "sha256:" + plain.hexdigest())
