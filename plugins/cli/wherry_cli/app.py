"""What every command is given: where to write, which engine to ask, and how it was called."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry_cli.options import Option, Values
    from wherry_client.http import Client

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

    def __init__(self, host: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.environment = os.environ if environment is None else environment
        self._host = host
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The engine's client. Nothing is connected before the first request."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    def new_client(self) -> Client:
        """Another client of the same engine. Raises HostInvalid."""
        from wherry_client.errors import HostInvalid
        from wherry_client.hosts import find_host
        from wherry_client.http import Client

        host = find_host(self._host, self.environment)
        if host.family == "tcp" and self.environment.get("DOCKER_TLS_VERIFY"):
            raise HostInvalid(
                f"DOCKER_TLS_VERIFY is set, but {PROGRAM} does not speak TLS yet: unset it, or use a unix socket"
            )
        return Client(host, self.environment.get("DOCKER_API_VERSION", ""), name=PROGRAM)

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
