"""The multiplexed streams of a container without a terminal, taken apart."""

from __future__ import annotations

import os

from wherry_cli.errors import CliError

STDOUT, STDERR, FAILURE = 1, 2, 3


class Demultiplexer:
    """Writes frames (8 bytes: stream, three zeros, length in big-endian; then the payload) to stdout and stderr."""

    def __init__(self, stdout: int = 1, stderr: int = 2) -> None:
        self._targets = {0: stdout, STDOUT: stdout, STDERR: stderr}
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what came; neighbouring frames of one stream go out in one write. Raises CliError on an engine's own failure."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        current = STDOUT
        parts: list[bytes] = []
        while end - at >= 8:
            size = int.from_bytes(data[at + 4 : at + 8], "big")
            if end - at - 8 < size:
                break
            stream = data[at]
            if stream != current and parts:
                self._write(current, b"".join(parts))
                parts = []
            current = stream
            parts.append(data[at + 8 : at + 8 + size])
            at += 8 + size
        if parts:
            self._write(current, b"".join(parts))
        self._rest = data[at:]

    def _write(self, stream: int, data: bytes) -> None:
        if stream == FAILURE:
            raise CliError(f"error from daemon in stream: {data.decode('utf-8', 'replace')}")
        if stream not in self._targets:
            raise CliError(f"Unrecognized input header: {stream}")
        write_all(self._targets[stream], data)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, however many writes that takes; waits where the descriptor was made non-blocking by others."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            import select

            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
