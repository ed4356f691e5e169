"""A container's log file: appended to, rotated and compressed as the log options say."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from wherry.linux.steps import step
from wherry_engine.monitor import json_records, local_records
from wherry_engine.monitor.report import report

NO_LIMIT = -1
_BLOCK = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


class Records(Protocol):
    """A format of records, which knows nothing of files."""

    def in_common(self, stream: str, attributes: Mapping[str, str], now_ns: int) -> bytes:
        """What all records of one stream and moment have in common."""

    def encode(self, data: bytes, common: bytes, /) -> bytes:
        """Whole records of this output, with that in common."""

    def fit(self, records: bytes, room: int) -> tuple[int, int]:
        """How many bytes and how many of these records go where there is room for so many bytes: one may reach beyond."""

    def whole(self, fd: int, size: int) -> int:
        """The size without what is torn at the end."""


FORMATS: Mapping[str, Records] = {"json-file": json_records, "local": local_records}


class LogFile:
    """The newest of a container's log files, and those that it has been. Used by one thread."""

    def __init__(self, path: str, options: Mapping[str, Any]) -> None:
        """Options are those of a LocalLog. Raises OSError."""
        self.path = path
        self._records = FORMATS[options["format"]]
        self.max_size = int(options["max_size"])
        self.max_files = int(options["max_files"])
        self.compress = bool(options["compress"])
        self.non_blocking, self._buffer = bool(options["non_blocking"]), int(options["buffer"])
        self.attributes: Mapping[str, str] = options["attributes"]
        self.compressing: threading.Thread | None = None
        self.fd = self._open()

    def _open(self, flags: int = 0) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, 0o640)

    @property
    def size(self) -> int:
        """Bytes in the newest file, which others may have truncated."""
        return os.fstat(self.fd).st_size

    def in_common(self, stream: str, now_ns: int) -> bytes:
        """What every record of one stream and moment has in common."""
        return self._records.in_common(stream, self.attributes, now_ns)

    def encode(self, data: bytes, common: bytes) -> bytes:
        """Whole records of this output, with that in common."""
        return self._records.encode(data, common)

    def append(self, data: bytes) -> None:
        """Write whole records, or nothing: what a full disk cut short is taken back. Raises OSError."""
        before = self.size
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError:
            self.shorten(before)
            raise

    def shorten(self, size: int) -> None:
        """Take back what was written beyond this size."""
        if self.size > size:
            with step("monitor.log.shorten"):
                os.ftruncate(self.fd, size)

    def mend(self) -> None:
        """Take back a record that a lost host has torn, so that a reader finds the next one."""
        self.shorten(self._records.whole(self.fd, self.size))

    def fit(self, records: bytes, limit: int) -> tuple[int, int] | None:
        """How many bytes and records of these belong into this file, whose limit the last of them reaches; None for all."""
        room = limit - self.size
        return None if limit == NO_LIMIT or room > len(records) else self._records.fit(records, room)

    @property
    def full(self) -> bool:
        """Whether the next record belongs into another file."""
        return 0 <= self.max_size <= self.size

    @property
    def utmost(self) -> int:
        """The size that a file reaches where it must not hold the container up while the next cannot begin."""
        return self.max_size + self._buffer

    def rotate(self, compressed: Callable[[], None]) -> None:
        """Begin a new file. Call it when none is being compressed; `compressed` is called by the thread that does it.

        Raises OSError; the log then goes on in the file that it has.
        """
        old = self.fd
        try:
            with step("monitor.log.rotate"):
                if self.max_files > 1:
                    for number in range(self.max_files - 1, 1, -1):
                        _shift(f"{self.path}.{number - 1}", f"{self.path}.{number}", ("", ".gz"))
                    _shift(self.path, f"{self.path}.1", ("",))
                self.fd = self._open(os.O_TRUNC)
        finally:
            if self.fd != old:
                os.close(old)
        if self.compress and self.max_files > 1:
            self.start_compression(compressed)

    def start_compression(self, compressed: Callable[[], None]) -> None:
        """Compress the file before the newest, if it is there, in a thread of its own."""
        if not os.path.exists(f"{self.path}.1"):
            return

        def work() -> None:
            try:
                with step("monitor.log.compress"):
                    _compress(f"{self.path}.1")
            except OSError as error:  # the file stays as it is: a reader takes either form
                report(f"cannot compress {self.path}.1: {error}")
            finally:
                self.compressing = None
                compressed()

        self.compressing = threading.Thread(target=work, name="compress", daemon=True)
        self.compressing.start()

    def wait(self) -> None:
        """Wait until no file is being compressed."""
        thread = self.compressing
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


def _shift(source: str, target: str, suffixes: tuple[str, ...]) -> None:
    """Rename a rotated file, whichever form it has, onto the next number, of which no other form may then be left."""
    for suffix in suffixes:
        try:
            os.rename(source + suffix, target + suffix)
        except FileNotFoundError:
            continue
        with suppress(FileNotFoundError):
            os.unlink(target + ("" if suffix else ".gz"))


def _compress(path: str) -> None:
    """Replace a file by its .gz; a reader finds the one or the other at any time."""
    packer = zlib.compressobj(wbits=_GZIP)
    try:
        with open(path, "rb") as source, open(f"{path}.gz.tmp", "wb") as target:
            os.chmod(target.fileno(), 0o640)
            while block := source.read(_BLOCK):
                target.write(packer.compress(block))
            target.write(packer.flush())
    except OSError:  # a full disk, which this must not keep full
        os.unlink(f"{path}.gz.tmp")
        raise
    os.rename(f"{path}.gz.tmp", f"{path}.gz")
    os.unlink(path)
