"""The files of one log, oldest first: `LOG.2.gz`, `LOG.1`, `LOG`. Opened while they are being rotated and compressed.

The writer renames `LOG.1` to `LOG.2`, then `LOG` to `LOG.1`, then makes a new `LOG`; a thread of its replaces `LOG.1` by
`LOG.1.gz` later. A log that keeps one file is truncated instead. An open file is read to its end whatever becomes of its
name.
"""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

from wherry.model.logs import Record
from wherry_engine.engine import log_json, log_local

CHUNK = 1 << 18
BEFORE = 64  # bytes; a record of either form has its time among them


class Form(Protocol):
    """How records look in a file."""

    def cut(self, data: bytes, /) -> tuple[list[bytes], int]:
        """The whole records at the head of these bytes, and how many bytes they take."""

    def last(self, fd: int, size: int, count: int, /) -> tuple[int, int]:
        """Where the last `count` records begin in a file of this size, and how many there are up to `count`."""

    def record(self, text: bytes, /) -> Record | None:
        """One record; None for what is none."""


FORMS: Mapping[str, Form] = {"json-file": log_json, "local": log_local}


class LogFile(Protocol):
    """One open file of a log, compressed or not."""

    identity: tuple[int, int]  # device and inode

    def read(self) -> list[bytes]:
        """The next whole records; [] at the present end."""

    def skip_to_last(self, count: int) -> int:
        """Go to where the last `count` records begin; returns how many there are, up to `count`."""

    def close(self) -> None:
        """Give up the descriptor, after a `read` in another thread has ended; may be repeated."""


class PlainFile:
    """A file that may still grow, be cut short by a torn record's length, or be truncated to begin again."""

    def __init__(self, path: str, form: Form) -> None:
        """Open it. Raises OSError."""
        self._lock = threading.Lock()
        self._form = form
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._offset = 0  # always the start of a record
        self._before = b""  # what stands before it; other bytes there mean that the file has begun again
        self.identity = _identity(self._fd)

    def read(self) -> list[bytes]:
        """The next whole records. What follows them is one that is being written, or that stayed torn."""
        with self._lock:
            if self._fd < 0:
                return []
            data = os.pread(self._fd, len(self._before) + CHUNK, self._offset - len(self._before))
            if not data.startswith(self._before):
                self._go_to(0)
                data = os.pread(self._fd, CHUNK, 0)
            begin = len(self._before)
            while True:
                records, size = self._form.cut(data[begin:])
                if records:
                    break
                more = os.pread(self._fd, CHUNK, self._offset - begin + len(data))
                if not more:
                    return []
                data += more
            self._offset += size
            self._before = data[max(0, begin + size - BEFORE) : begin + size]
        return records

    def skip_to_last(self, count: int) -> int:
        """Search from the end."""
        with self._lock:
            offset, found = self._form.last(self._fd, os.fstat(self._fd).st_size, count)
            self._go_to(offset)
            return found

    def close(self) -> None:
        """Give up the descriptor."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _go_to(self, offset: int) -> None:
        self._offset, size = offset, min(offset, BEFORE)
        self._before = os.pread(self._fd, size, offset - size)


class PackedFile:
    """A compressed file: complete and never changed."""

    def __init__(self, path: str, form: Form) -> None:
        """Open it. Raises OSError."""
        self._lock = threading.Lock()
        self._form = form
        self._raw: BinaryIO | None = open(path, "rb")  # noqa: SIM115  closed by close()
        self._file = gzip.GzipFile(fileobj=self._raw)
        self._skip, self._rest = 0, b""
        self.identity = _identity(self._raw.fileno())

    def read(self) -> list[bytes]:
        """The next whole records."""
        with self._lock:
            while self._raw is not None and (records := self._next()):
                skipped = min(self._skip, len(records))
                self._skip -= skipped
                if records[skipped:]:
                    return records[skipped:]
        return []

    def skip_to_last(self, count: int) -> int:
        """Count all records, and begin again."""
        with self._lock:
            total = 0
            while records := self._next():
                total += len(records)
            self._file.seek(0)
            self._rest = b""
            self._skip = max(0, total - count)
            return min(total, count)

    def _next(self) -> list[bytes]:
        while more := self._file.read(CHUNK):
            data = self._rest + more
            records, size = self._form.cut(data)
            self._rest = data[size:]
            if records:
                return records
        return []

    def close(self) -> None:
        """Give up the descriptor."""
        with self._lock:
            if self._raw is not None:
                self._raw.close()
                self._raw = None


def open_all(path: str, form: Form) -> list[LogFile] | None:
    """All files there are, oldest first, each once and none left out; None in the middle of a rotation: try again."""
    files = _open_numbers(path, form, _count(path))
    if files is not None and _is_newest(path, files):
        return files
    close_all(files or ())
    return None


def open_present(path: str, form: Form) -> list[LogFile]:
    """The same where somebody has removed one from the middle for good."""
    return [file for number in range(_count(path), -1, -1) if (file := _open(path, form, number))]


def open_newest(path: str, form: Form, count: int) -> list[LogFile] | None:
    """The last `count` files, oldest first; None in the middle of a rotation, when the caller has to try again."""
    return _open_numbers(path, form, count - 1)


def close_all(files: Sequence[LogFile]) -> None:
    """Close each."""
    for file in files:
        file.close()


def tail(files: Sequence[LogFile], count: int) -> None:
    """Go to the last `count` records of all files together."""
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


def _open_numbers(path: str, form: Form, highest: int) -> list[LogFile] | None:
    """The files from this number down to the newest; None unless all are there."""
    files: list[LogFile] = []
    for number in range(highest, -1, -1):
        file = _open(path, form, number)
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


def _open(path: str, form: Form, number: int) -> LogFile | None:
    name = _name(path, number)
    try:
        return PlainFile(name, form)
    except FileNotFoundError:
        pass
    try:
        return PackedFile(f"{name}.gz", form) if number else None
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
