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

        tls = self._tls()
        host = find_host(self._host, self.environment, TLS_PORT if tls else PLAIN_PORT)
        return Client(host, self.environment.get("DOCKER_API_VERSION", ""), name=PROGRAM, tls=tls)

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
