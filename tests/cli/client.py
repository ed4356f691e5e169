"""A client program run as users run it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class Ran:
    """How a run ended."""

    status: int
    out: str
    err: str


@attrs.frozen
class Client:
    """A program with the arguments that lead it to the daemon, and its name in its own messages."""

    command: Sequence[str]
    name: str

    def __call__(self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> Ran:
        """Run it to its end."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            timeout=30,
            env=self.environment(environment),
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it with pipes."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.command, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment(None)
        )

    def environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        """This process's environment without what leads clients elsewhere."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "WHERRY_"))}
        return {**ours, **(more or {})}
