"""Our ends of an exec's pipes, or of its terminal: bytes in and out, never kept from anyone who comes late."""

from __future__ import annotations

import asyncio
import fcntl
import io
import struct
import termios
from collections.abc import Callable, Mapping
from functools import partial

Receive = Callable[[str, bytes], None]


class _Output(asyncio.Protocol):
    def __init__(self, received: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._received, self._lost = received, lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()  # until somebody listens

    def data_received(self, data: bytes) -> None:
        self._received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()


class _Input(asyncio.BaseProtocol):
    def __init__(self, writable: Callable[[bool], None]) -> None:
        self._writable = writable

    def pause_writing(self) -> None:
        self._writable(False)

    def resume_writing(self) -> None:
        self._writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable(True)


class ExecStreams:
    """The streams of one exec. Nothing is read before `listen`; after `release` output is read and dropped.

    `ended` is set when the process has ended and all of its output has been delivered.
    """

    def __init__(self, *, tty: bool) -> None:
        self.tty = tty
        self.ended = asyncio.Event()
        self.on_writable: Callable[[bool], None] = lambda _: None
        self._receive: Receive = _drop
        self._outputs: dict[str, asyncio.ReadTransport] = {}
        self._input: asyncio.WriteTransport | None = None
        self._over = False

    async def open(self, ours: Mapping[str, int]) -> None:
        """Take these descriptors over: stdin, stdout, stderr, or tty."""
        loop = asyncio.get_running_loop()
        writer = ours.get("stdin", -1)
        if self.tty:
            writer = fcntl.fcntl(ours["tty"], fcntl.F_DUPFD_CLOEXEC, 3)
        if writer >= 0:
            self._input, _ = await loop.connect_write_pipe(lambda: _Input(self._writable), io.FileIO(writer, "wb"))
            self._input.set_write_buffer_limits(high=0)  # so that writable also means: all is written
        for name in ("tty", "stdout", "stderr"):
            if name in ours:
                protocol = _Output(partial(self._received, name), partial(self._lost, name))
                transport, _ = await loop.connect_read_pipe(lambda p=protocol: p, io.FileIO(ours[name], "rb"))  # type: ignore[misc]
                self._outputs[name] = transport
        self._check()

    # --- output ---

    def listen(self, receive: Receive) -> None:
        """From now on `receive` gets what the process writes, with the stream's name; a terminal's is stdout."""
        self._receive = receive
        self.resume()

    def release(self) -> None:
        """Nobody listens any more; the process shall not notice."""
        self.listen(_drop)

    def pause(self) -> None:
        """Read no more, for now."""
        for transport in self._outputs.values():
            transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        for transport in self._outputs.values():
            transport.resume_reading()

    def _received(self, name: str, data: bytes) -> None:
        self._receive("stdout" if name == "tty" else name, data)

    def _lost(self, name: str) -> None:
        self._outputs.pop(name, None)
        self._check()

    def finish(self) -> None:
        """The process has ended: the end of its output is the end."""
        self._over = True
        self._check()

    def _check(self) -> None:
        if self._over and not self._outputs:
            self.close()

    # --- input ---

    def _writable(self, can: bool) -> None:
        self.on_writable(can)

    def write(self, data: bytes) -> None:
        """Pass input on; lost if the process takes no more."""
        if self._input is not None and not self._input.is_closing():
            self._input.write(data)

    def close_stdin(self) -> None:
        """End the input, once all is written. A terminal has no such end."""
        if self._input is not None and not self.tty:
            self._input.close()

    def resize(self, height: int, width: int) -> None:
        """Tell the terminal its size; nobody needs it when it is gone."""
        if self._input is not None and not self._input.is_closing():
            fd = self._input.get_extra_info("pipe").fileno()
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def close(self) -> None:
        """Give everything up; once is enough."""
        outputs, self._outputs = self._outputs, {}
        for transport in outputs.values():
            transport.close()
        stdin, self._input = self._input, None
        if stdin is not None and (not stdin.is_closing() or stdin.get_write_buffer_size()):
            stdin.abort()
        self.ended.set()


def _drop(_name: str, _data: bytes) -> None:
    """For nobody."""
