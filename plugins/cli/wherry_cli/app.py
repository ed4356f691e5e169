"""What every command is given: where to write, which engine to ask, and how it was called."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry_cli.options import Option, Values
    from wherry_client.http import Client
    from wherry_client.tls import Tls

    Run = Callable[["App", Values, list[str]], int]

PROGRAM = "wherry"


class Command:
    """One verb. `name` is its canonical path ("container ls"), `usage` the words after it, `most` -1 for any number."""

    __slots__ = ("interspersed", "least", "most", "name", "options", "run", "summary", "usage")

    def __init__(
        self,
        name: str,
        usage: str,
        summary: str,
        run: Run,
        options: Sequence[Option] = (),
        *,
        least: int = 0,
        most: int = 0,
        interspersed: bool = True,
    ) -> None:
        self.name = name
        self.usage = usage
        self.summary = summary
        self.run = run
        self.options = options
        self.least = least
        self.most = most
        self.interspersed = interspersed


class App:
    """One run of the program."""

    def __init__(
        self,
        host: str | None = None,
        environment: Mapping[str, str] | None = None,
        flags: Values | None = None,  # those before the command
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self._host = host
        self._flags = flags
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The engine's client. Nothing is connected before the first request."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    def new_client(self) -> Client:
        """Another client of the same engine. Raises HostInvalid."""
        from wherry_client.hosts import PLAIN_PORT, TLS_PORT, find_host
        from wherry_client.http import Client

        version = self.environment.get("DOCKER_API_VERSION", "")
        if name := self._context():
            from wherry_client.contexts import read_context
            from wherry_client.hosts import parse_host

            context = read_context(name, self.environment)
            port = TLS_PORT if context.tls else PLAIN_PORT
            return Client(parse_host(context.host, port), version, name=PROGRAM, tls=context.tls)
        tls = self._tls()
        host = find_host(self._host, self.environment, TLS_PORT if tls else PLAIN_PORT)
        return Client(host, version, name=PROGRAM, tls=tls)

    def _context(self) -> str:
        """The context to use; "" if an address says where the engine is, or nothing does."""
        name = str(self._flags["context"]) if self._flags else ""
        if not name and not self._host and not any(map(self.environment.get, ("WHERRY_HOST", "DOCKER_HOST"))):
            name = self.environment.get("DOCKER_CONTEXT", "")
        return "" if name == "default" else name  # docker's word for none

    def _tls(self) -> Tls | None:
        """How to secure TCP, if that is asked for."""
        flags = self._flags
        verify = bool(flags and flags["tlsverify"]) or bool(self.environment.get("DOCKER_TLS_VERIFY"))
        if not (verify or (flags and flags["tls"]) or self.environment.get("DOCKER_TLS")):
            return None
        from wherry_client.tls import Tls, files_in

        ca, cert, key = files_in(self.environment)
        if flags is not None:
            ca, cert, key = flags["tlscacert"] or ca, flags["tlscert"] or cert, flags["tlskey"] or key
        return Tls(verify=verify, ca=ca, cert=cert, key=key)

    def close(self) -> None:
        """Close what was opened."""
        if self._client is not None:
            self._client.close()

    @staticmethod
    def print(text: str = "") -> None:
        """One line of data."""
        sys.stdout.write(text + "\n")

    @staticmethod
    def write(text: str) -> None:
        """Data that brings its own line ends."""
        sys.stdout.write(text)

    @staticmethod
    def say(text: str) -> None:
        """One line of talk, after all data so far."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
