"""The files of one log, oldest first: `LOG.2.gz`, `LOG.1`, `LOG`. Opened while they are being rotated and compressed.

The writer renames `LOG.1` to `LOG.2`, then `LOG` to `LOG.1`, then makes a new `LOG`; a thread of its replaces `LOG.1` by
`LOG.1.gz` later. A log that keeps one file is truncated instead. An open file is read to its end whatever becomes of its
name.
"""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Sequence
from typing import BinaryIO, Protocol

CHUNK = 1 << 18


class LogFile(Protocol):
    """One open file of a log, of either form."""

    identity: tuple[int, int]  # device and inode

    def read(self) -> list[bytes]:
        """The next whole lines, each with its line feed; [] at the present end."""

    def skip_to_last(self, count: int) -> int:
        """Go to where the last `count` lines begin; returns how many there are, up to `count`."""

    def close(self) -> None:
        """Give up the descriptor, after a `read` in another thread has ended; may be repeated."""


class PlainFile:
    """A file that may still grow, be cut short by a torn record's length, or be truncated to begin again."""

    def __init__(self, path: str) -> None:
        """Open it. Raises OSError."""
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._offset = 0  # always the start of a line
        self.identity = _identity(self._fd)

    def read(self) -> list[bytes]:
        """The next whole lines. What follows them is a line that is being written, or one that stayed torn."""
        with self._lock:
            if self._fd < 0:
                return []
            # From the byte before, which is a line feed unless the file was truncated and has grown again.
            start = max(0, self._offset - 1)
            data = os.pread(self._fd, CHUNK, start)
            if self._offset and data[:1] != b"\n":
                self._offset = start = 0
                data = os.pread(self._fd, CHUNK, 0)
            begin = self._offset - start
            while b"\n" not in data[begin:]:
                more = os.pread(self._fd, CHUNK, start + len(data))
                if not more:
                    return []
                data += more
            data = data[begin : data.rindex(b"\n") + 1]
            self._offset += len(data)
        return data.splitlines(keepends=True)

    def skip_to_last(self, count: int) -> int:
        """Search backwards for the line feed before the last `count` lines."""
        with self._lock:
            start, missing = os.fstat(self._fd).st_size, count + 1
            while start > 0:
                size = min(CHUNK, start)
                start -= size
                block = os.pread(self._fd, size, start)
                feeds = block.count(b"\n")
                if feeds >= missing:
                    at = len(block)
                    for _ in range(missing):
                        at = block.rindex(b"\n", 0, at)
                    self._offset = start + at + 1
                    return count
                missing -= feeds
            self._offset = 0
            return count + 1 - missing

    def close(self) -> None:
        """Give up the descriptor."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


class PackedFile:
    """A compressed file: complete and never changed."""

    def __init__(self, path: str) -> None:
        """Open it. Raises OSError."""
        self._lock = threading.Lock()
        self._raw: BinaryIO | None = open(path, "rb")  # noqa: SIM115  closed by close()
        self._file = gzip.GzipFile(fileobj=self._raw)
        self._skip, self._rest = 0, b""
        self.identity = _identity(self._raw.fileno())

    def read(self) -> list[bytes]:
        """The next whole lines."""
        with self._lock:
            while self._raw is not None:
                more = self._file.read(CHUNK)
                if not more:
                    break
                whole, _, self._rest = (self._rest + more).rpartition(b"\n")
                lines = (whole + b"\n").splitlines(keepends=True) if whole else []
                skipped = min(self._skip, len(lines))
                self._skip -= skipped
                if lines[skipped:]:
                    return lines[skipped:]
        return []

    def skip_to_last(self, count: int) -> int:
        """Count all lines, and begin again."""
        with self._lock:
            total = 0
            while block := self._file.read(CHUNK):
                total += block.count(b"\n")
            self._file.seek(0)
            self._skip = max(0, total - count)
            return min(total, count)

    def close(self) -> None:
        """Give up the descriptor."""
        with self._lock:
            if self._raw is not None:
                self._raw.close()
                self._raw = None


def open_all(path: str) -> list[LogFile] | None:
    """All files there are, oldest first, each once and none left out; None in the middle of a rotation: try again."""
    files = _open_numbers(path, _count(path))
    if files is not None and _is_newest(path, files):
        return files
    close_all(files or ())
    return None


def open_present(path: str) -> list[LogFile]:
    """The same where somebody has removed one from the middle for good."""
    return [file for number in range(_count(path), -1, -1) if (file := _open(path, number))]


def open_newest(path: str, count: int) -> list[LogFile] | None:
    """The last `count` files, oldest first; None in the middle of a rotation, when the caller has to try again."""
    return _open_numbers(path, count - 1)


def close_all(files: Sequence[LogFile]) -> None:
    """Close each."""
    for file in files:
        file.close()


def tail(files: Sequence[LogFile], count: int) -> None:
    """Go to the last `count` lines of all files together."""
    for file in reversed(files):
        count -= file.skip_to_last(count)


def number_of(path: str, identity: tuple[int, int]) -> int | None:
    """How often the file has been rotated since it was the newest; None if no file has this identity any more."""
    for number in range(_count(path) + 1):
        try:
            status = os.stat(_name(path, number))
        except FileNotFoundError:
            continue
        if (status.st_dev, status.st_ino) == identity:
            return number
    return None


def _open_numbers(path: str, highest: int) -> list[LogFile] | None:
    """The files from this number down to the newest; None unless all are there."""
    files: list[LogFile] = []
    for number in range(highest, -1, -1):
        file = _open(path, number)
        if file is None:
            if number == 0 and not files:
                return []
            close_all(files)
            return None
        files.append(file)
    return files


def _is_newest(path: str, files: Sequence[LogFile]) -> bool:
    """Whether nothing was rotated while these were opened."""
    if len({file.identity for file in files}) < len(files):
        return False
    return number_of(path, files[-1].identity) == 0 if files else not os.path.exists(path)


def _open(path: str, number: int) -> LogFile | None:
    name = _name(path, number)
    try:
        return PlainFile(name)
    except FileNotFoundError:
        pass
    try:
        return PackedFile(f"{name}.gz") if number else None
    except FileNotFoundError:
        return None


def _count(path: str) -> int:
    """The highest number in use."""
    folder, _, base = path.rpartition("/")
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    numbers = [name[len(base) + 1 :].removesuffix(".gz") for name in names if name.startswith(f"{base}.")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _name(path: str, number: int) -> str:
    return f"{path}.{number}" if number else path


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
