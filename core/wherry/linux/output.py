"""Writing much into a pipe or file: small pieces together, large files without passing through this process."""

from __future__ import annotations

import os

_PIECE = 1 << 20
_SMALL = 64 << 10  # a file up to this size is read; a larger one goes from file to pipe in the kernel


class Output:
    """Collects what is written to the descriptor `target`; `flush` when all is said."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Write, now or later."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        data = memoryview(b"".join(self._waiting))
        self._waiting, self._size = [], 0
        while data:
            data = data[os.write(self._target, data) :]

    def copy(self, source: int, size: int) -> int:
        """The next `size` bytes of a file; returns how many there were."""
        if size <= _SMALL:
            data = os.read(source, size)
            self.write(data)
            return len(data)
        self.flush()
        sent = 0
        while sent < size and (count := os.sendfile(self._target, source, None, size - sent)):
            sent += count
        return sent
