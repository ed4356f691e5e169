"""One connection to an engine, and the answers read from it."""

from __future__ import annotations

from wherry_client.errors import CannotConnect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Iterator
    from typing import Any

READ = 1 << 16

# What is left of a body where that is no number of bytes.
UNTIL_CLOSE, CHUNKED = -1, -2


class Connection:
    """One socket and the bytes that were read from it too early."""

    __slots__ = ("buffer", "sock", "why")

    def __init__(self, sock: _socket.socket, why: Callable[[], str] = str) -> None:
        self.sock = sock
        self.why = why  # it ended early; "" if that is not known
        self.buffer = b""

    def receive(self, size: int = READ) -> bytes:
        """What is buffered, else the next bytes; empty at the end."""
        if self.buffer:
            data, self.buffer = self.buffer[:size], self.buffer[size:]
            return data
        return self.sock.recv(size)

    def until(self, mark: bytes) -> bytes:
        """Everything up to `mark`, which is consumed too. Raises CannotConnect if the engine hangs up before."""
        while (at := self.buffer.find(mark)) < 0:
            data = self.sock.recv(READ)
            if not data:
                reason = self.why()
                raise CannotConnect(
                    "the engine closed the connection before it had answered" + (f": {reason}" if reason else "")
                )
            self.buffer += data
        found, self.buffer = self.buffer[:at], self.buffer[at + len(mark) :]
        return found

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


class Response:
    """An answer whose body is still to be read, by exactly one of the methods here."""

    __slots__ = ("_keep", "_left", "connection", "headers", "status")

    def __init__(
        self,
        keep: Callable[[Response], None],
        connection: Connection,
        status: int,
        headers: dict[str, str],
        *,
        empty: bool,
    ) -> None:
        self._keep = keep
        self.connection = connection
        self.status = status
        self.headers = headers
        length = headers.get("content-length")
        chunked = headers.get("transfer-encoding") == "chunked"
        self._left = 0 if empty else CHUNKED if chunked else int(length) if length else UNTIL_CLOSE

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives. The connection is kept for the next request once the last piece is out, else closed."""
        try:
            yield from self._chunks() if self._left == CHUNKED else self._plain()
        except BaseException:
            self.close()
            raise
        if self._left == UNTIL_CLOSE:
            self.close()
        else:
            self._keep(self)

    def _plain(self) -> Iterator[bytes]:
        while self._left:
            data = self.connection.receive(min(self._left, READ) if self._left > 0 else READ)
            if not data and self._left == UNTIL_CLOSE:
                return
            if not data:
                raise CannotConnect("the engine closed the connection in the middle of an answer")
            if self._left > 0:
                self._left -= len(data)
            yield data

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces())

    def json(self) -> Any:
        """The whole body decoded; None if it is empty."""
        body = self.read()
        if not body.strip():
            return None
        from json import loads

        return loads(body)

    def objects(self) -> Iterator[Any]:
        """JSON objects, one after another, as they arrive (one per line or simply joined)."""
        from json import JSONDecodeError, JSONDecoder

        decoder, text, pending = JSONDecoder(), "", b""
        for piece in self.pieces():
            pending += piece
            whole = pending.rfind(b"}") + 1
            text, pending = text + pending[:whole].decode("utf-8", "replace"), pending[whole:]
            while text := text.lstrip():
                try:
                    value, end = decoder.raw_decode(text)
                except JSONDecodeError:
                    break  # the rest of this object is on its way
                text = text[end:]
                yield value

    def close(self) -> None:
        """Give up on the rest of the body."""
        self.connection.close()

    def _chunks(self) -> Iterator[bytes]:
        """The payload of all chunks that came together as one piece: logs come in chunks of one line each."""
        connection = self.connection
        data, connection.buffer = connection.buffer, b""
        at = left = skip = 0  # where we are in data; payload still to come of this chunk; its line end still to skip
        while True:
            out: list[bytes] = []
            while True:
                if left:
                    part = data[at : at + left]
                    out.append(part)
                    at, left = at + len(part), left - len(part)
                    if left:
                        break
                if len(data) - at < skip or (end := data.find(b"\r\n", at + skip)) < 0:
                    break
                left = int(data[at + skip : end].partition(b";")[0], 16)
                at, skip = end + 2, 2
                if not left:
                    yield b"".join(out)
                    connection.buffer = data[at:]
                    while connection.until(b"\r\n"):
                        pass  # trailers, which Docker sends none of
                    return
            if out:
                yield b"".join(out)
            more = connection.receive()
            if not more:
                raise CannotConnect("the engine closed the connection in the middle of an answer")
            data, at = data[at:] + more, 0
