"""HTTP/1.1 to an engine over a unix or TCP socket, with nothing imported that a short command does not need.

`_socket` instead of `socket`, and `json` only when something is decoded: together 10 ms of a 30 ms command.
A Client keeps one idle connection; a request made while another is unfinished (from a signal handler, or beside a
stream) simply opens its own.
"""

from __future__ import annotations

import _socket

from wherry_client.errors import ApiError, CannotConnect
from wherry_client.query import encode_query
from wherry_client.response import Connection, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from wherry_client.hosts import Host
    from wherry_client.tls import Tls

    Query = Mapping[str, object] | None

NEWEST = "1.50"
TOO_NEW = "Maximum supported API version is "


class Pending:
    """A request that has been sent and not been answered."""

    __slots__ = ("_client", "_connection", "_request")

    def __init__(self, client: Client, connection: Connection, method: str, path: str, query: Query) -> None:
        self._client = client
        self._connection = connection
        self._request = (method, path, query)

    def finish(self) -> Any:
        """The decoded answer. Raises ApiError, CannotConnect."""
        method, path, query = self._request
        try:
            response = self._client.answer(self._connection, method)
            error = self._client.refusal(response)
        except BaseException:
            self._connection.close()
            raise
        if error is None:
            return response.json()
        if self._client.older(error):
            return self._client.call(method, path, query)
        raise error


class Client:
    """One engine, spoken to in the newest version both know: the first refusal of a version names the engine's."""

    def __init__(self, host: Host, version: str = "", *, name: str = "wherry", tls: Tls | None = None) -> None:
        self.host = host
        self._tls = tls
        self.version = version or NEWEST
        self.name = name
        self._pinned = bool(version)
        self._idle: Connection | None = None

    def call(self, method: str, path: str, query: Query = None, body: object = None) -> Any:
        """A request with a JSON body (if one is given), and the decoded answer. Raises ApiError, CannotConnect."""
        return self.request(method, path, query, body).json()

    def request(
        self, method: str, path: str, query: Query = None, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The same, with the answer's body still to be read."""
        data, fields = b"", dict(headers or {})
        if body is not None:
            from json import dumps

            data = dumps(body).encode()
            fields["Content-Type"] = "application/json"
        if data or method == "POST":
            fields["Content-Length"] = str(len(data))
        response = self._exchange(method, path, query, fields, data)
        error = self.refusal(response)
        if error is not None and self.older(error):
            response = self._exchange(method, path, query, fields, data)
            error = self.refusal(response)
        if error is not None:
            raise error
        return response

    def begin(self, method: str, path: str, query: Query = None) -> Pending:
        """Send a request on a connection of its own and do not wait for the answer: for many at once."""
        connection = self._connect()
        fields = {"Content-Length": "0"} if method == "POST" else {}
        try:
            connection.sock.sendall(self._head(method, path, query, fields))
        except OSError as error:
            connection.close()
            raise CannotConnect(f"the connection to the engine at {self.host.url} broke: {error.strerror}") from error
        return Pending(self, connection, method, path, query)

    def upload(self, path: str, query: Query, chunks: Iterable[bytes], kind: str, *, method: str = "POST") -> Response:
        """Send a body of unknown length. A version is agreed on first: such a body cannot be sent again."""
        if not self._pinned:
            self.call("GET", "/version")
        connection = self._connect()
        head = self._head(method, path, query, {"Content-Type": kind, "Transfer-Encoding": "chunked"})
        try:
            connection.sock.sendall(head)
            for chunk in chunks:
                if chunk:
                    connection.sock.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            connection.sock.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # an engine that refuses the body answers first and hangs up then; its answer is what counts
        try:
            response = self.answer(connection, "POST")
        except BaseException:
            connection.close()
            raise
        if (error := self.refusal(response)) is not None:
            raise error
        return response

    def hijack(self, path: str, query: Query = None, body: object = None) -> Connection:
        """POST that turns the connection into a raw stream in both directions. Raises ApiError."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp", "Content-Type": "text/plain"}
        response = self.request("POST", path, query, body, headers)
        return response.connection

    def keep(self, response: Response) -> None:
        """Take back the connection of an answer that has been read to its end."""
        if self._idle is not None or response.headers.get("connection", "").lower() == "close":
            response.connection.close()
        else:
            self._idle = response.connection

    def close(self) -> None:
        """Close the idle connection."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def _exchange(self, method: str, path: str, query: Query, headers: Mapping[str, str], data: bytes) -> Response:
        connection = self._reuse() or self._connect()
        try:
            connection.sock.sendall(self._head(method, path, query, headers) + data)
            return self.answer(connection, method)
        except OSError as error:
            reason = connection.why() or error.strerror
            connection.close()
            raise CannotConnect(f"the connection to the engine at {self.host.url} broke: {reason}") from error
        except BaseException:
            connection.close()
            raise

    def _reuse(self) -> Connection | None:
        """The idle connection, unless the engine has closed it in the meantime."""
        connection, self._idle = self._idle, None
        if connection is None:
            return None
        try:
            connection.sock.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return connection
        except OSError:
            pass  # broken: as good as closed
        connection.close()
        return None

    def _head(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> bytes:
        lines = [
            f"{method} /v{self.version}{path}{encode_query(query)} HTTP/1.1",
            "Host: wherry",
            f"User-Agent: {self.name}",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def older(self, error: ApiError) -> bool:
        """Whether the engine refused our version for one that it named, which is used from now on."""
        if error.status != 400 or TOO_NEW not in error.message:
            return False
        version = error.message.rpartition(TOO_NEW)[2].split(",")[0].strip()
        if self._pinned or version == self.version:
            return False
        self.version = version
        return True

    def answer(self, connection: Connection, method: str) -> Response:
        """The head of the next answer on a connection. Raises CannotConnect."""
        while True:
            lines = connection.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ", 2)[1])
            if status != 100:
                break
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        empty = method == "HEAD" or status in (204, 304)
        return Response(self.keep, connection, status, headers, empty=empty)

    def refusal(self, response: Response) -> ApiError | None:
        """The error that an answer is, if it is one."""
        if response.status < 400:
            return None
        body = response.read().decode("utf-8", "replace").strip()
        if body.startswith("{"):
            from json import loads

            body = str(loads(body).get("message", body))
        return ApiError(response.status, body or f"status {response.status} without a message")

    def _connect(self) -> Connection:
        host = self.host
        try:
            if isinstance(host.target, str):
                sock = _socket.socket(_socket.AF_UNIX)
                address: Any = host.target
            else:
                family, kind, protocol, _, address = _socket.getaddrinfo(*host.target, type=_socket.SOCK_STREAM)[0]
                sock = _socket.socket(family, kind, protocol)
            try:
                sock.connect(address)
            except BaseException:
                sock.close()
                raise
        except PermissionError as error:
            raise CannotConnect(f"permission denied while trying to connect to the engine at {host.url}") from error
        except OSError as error:
            raise CannotConnect(f"Cannot connect to the Wherry engine at {host.url}. Is wherryd running?") from error
        if self._tls is not None and not isinstance(host.target, str):
            from socket import socket

            from wherry_client.tls import secure

            return Connection(*secure(socket(fileno=sock.detach()), host.target[0], self._tls))
        return Connection(sock)
