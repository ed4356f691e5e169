"""A container's streams connected to this process: bytes both ways, signals and window sizes passed on."""

from __future__ import annotations

import os
import select
import signal

from wherry_cli.errors import CliError
from wherry_cli.streams import Demultiplexer, write_all
from wherry_cli.terminal import DetachKeys, Raw, size
from wherry_client.errors import ApiError, CannotConnect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from wherry_client.http import Client
    from wherry_client.response import Connection, Response

PIECE = 1 << 16

# What stops or ends this process alone, reports its own faults, or belongs to its own children and pipes.
# fmt: off
_OWN = frozenset((
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS,
))
# fmt: on
_PATIENCE = 3


class Streams:
    """The two ends of an attach. `stdin` says whether ours is passed on; `keys` disconnect, if there is a terminal."""

    def __init__(self, connection: Connection, *, stdin: bool, tty: bool, keys: bytes = b"") -> None:
        self._connection = connection
        self._stdin = stdin
        self._tty = tty
        self._keys = DetachKeys(keys if tty else b"")
        self._pending = b""
        self._ended_input = not stdin
        self._half_closed = False

    def run(self, *, output: bool = True) -> bool:
        """Pass bytes until the container's output ends; False if the user disconnected with the keys.

        Without `output` it ends with the input. Nothing waits for anything but poll, so that a container that reads
        nothing cannot keep its own output from being written.
        """
        sock = self._connection.sock
        sock.setblocking(False)
        demultiplexer = None if self._tty else Demultiplexer()
        with Raw(0) if self._stdin and self._tty else _Nothing():
            if self._connection.buffer:
                self._output(self._connection.receive(len(self._connection.buffer)), demultiplexer)
            while output or not self._half_closed:
                for descriptor, event in self._ready(sock.fileno()):
                    if descriptor == 0:
                        if self._input():
                            return False
                        continue
                    if event & select.POLLOUT:
                        self._flush()
                    if event & ~select.POLLOUT and not self._receive(demultiplexer):
                        return True
        return True

    def _ready(self, sock: int) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if self._pending else 0))
        if not self._ended_input and not self._pending:
            poll.register(0, select.POLLIN)
        return poll.poll()

    def _receive(self, demultiplexer: Demultiplexer | None) -> bool:
        """Pass on what the container wrote; False at its end."""
        try:
            data = self._connection.sock.recv(PIECE)
        except BlockingIOError:
            return True
        except OSError:
            return False  # an engine that goes away resets the stream; the wait beside it says what became of the container
        if data:
            self._output(data, demultiplexer)
        return bool(data)

    def _output(self, data: bytes, demultiplexer: Demultiplexer | None) -> None:
        if demultiplexer is None:
            write_all(1, data)
        else:
            demultiplexer.feed(data)

    def _input(self) -> bool:
        """Read what was typed; True if it was the keys."""
        try:
            data = os.read(0, PIECE)
        except OSError:
            data = b""  # a terminal that hung up has ended
        if not data:
            self._ended_input = True
        passed, detached = self._keys.feed(data)
        self._pending += passed
        self._flush()
        return detached

    def _flush(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[self._connection.sock.send(self._pending) :]
        except BlockingIOError:
            return
        except OSError:
            self._pending = b""  # the container takes no more input; its output may still come
            self._ended_input = True
        if self._ended_input and not self._half_closed:
            self._half_closed = True
            self._shut()

    def _shut(self) -> None:
        import _socket

        try:
            self._connection.sock.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # closed by the engine already


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


class Signals:
    """While entered, signals to this process go to the container (`proxy`), and window sizes to its terminal (`tty`).

    `path` is the container's in the API, or an exec's, which takes no signals.
    """

    def __init__(self, client: Client, path: str, *, proxy: bool, tty: bool) -> None:
        self._client = client
        self._path = path
        self._proxy = proxy
        self._tty = tty
        self._before: dict[signal.Signals, object] = {}
        self._impatience = 0

    def __enter__(self) -> Signals:
        if self._proxy and not self._tty:
            for number in signal.valid_signals() - _OWN:
                self._catch(number, self._forward)
        if self._tty:
            self._catch(signal.SIGWINCH, lambda number, frame: self.resize())
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _catch(self, number: signal.Signals, handler: object) -> None:
        self._before[number] = signal.signal(number, handler)  # type: ignore[arg-type]

    def resize(self, grow: int = 0) -> bool:
        """Give the container's terminal our size (and some lines and columns more); False if it cannot take it yet."""
        found = size(1) or size(0)
        if found is None:
            return True
        try:
            self._client.call("POST", f"{self._path}/resize", {"h": found[0] + grow, "w": found[1] + grow})
        except (ApiError, CannotConnect):
            return False
        return True

    def first_resize(self) -> None:
        """Resize a container that may have only just begun to run."""
        import time

        for _ in range(10):
            if self.resize():
                return
            time.sleep(0.01)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):
            self._impatience += 1
            if self._impatience >= _PATIENCE:
                raise CliError(f"\ngot {_PATIENCE} SIGTERM/SIGINTs, forcefully exiting")
        try:
            self._client.call("POST", f"{self._path}/kill", {"signal": _name(number)})
        except (ApiError, CannotConnect):
            pass  # not running yet or any more: there is nothing that the signal could be for


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)  # realtime signals have no names here


def exit_status(answer: Response) -> int:
    """The exit status that a wait tells, once it does. Raises CliError (125) if it cannot."""
    try:
        found = answer.json()
    except CannotConnect as error:
        raise CliError(f"error waiting for container: {error}", 125) from None
    finally:
        answer.close()
    if found.get("Error"):
        raise CliError(f"error waiting for container: {found['Error'].get('Message', '')}", 125)
    return int(found["StatusCode"])
