"""Command lines of Docker's client and of ours on one real engine, as users type them."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import attrs
from tests.cli.client import Client, Ran
from tests.end_to_end.exec_kit import World

CLIENTS = ("docker", "wherry")
ID = re.compile(r"[0-9a-f]{64}\n")


@attrs.frozen
class Shell:
    """One client. A line is split as a shell splits it."""

    client: Client

    def try_(self, line: str, stdin: bytes = b"") -> Ran:
        """Run a line, however it ends."""
        return self.client(*shlex.split(line), stdin=stdin)

    def __call__(self, line: str, stdin: bytes = b"") -> str:
        """What a line that must succeed prints."""
        ran = self.try_(line, stdin)
        assert ran.status == 0, (line, ran)
        return ran.out

    def fails(self, line: str, status: int = 1) -> str:
        """What a line says that must fail with this status, without the client's name and advice."""
        ran = self.try_(line)
        assert ran.status == status, (line, ran)
        text = ran.err.partition("\n\nRun '")[0].strip()
        return text.removeprefix(f"{self.client.name}: ").removeprefix("Error response from daemon: ")

    def inspect(self, name: str) -> Any:
        """The one object of that name."""
        (found,) = json.loads(self(f"inspect {name}"))
        return found

    def state(self, name: str) -> Any:
        """What a container is doing."""
        return self.inspect(name)["State"]


def clear(engine: World, *spared: str) -> None:
    """Remove every container but the spared, with its anonymous volumes, and all volumes and networks that nobody uses."""
    names = set(engine.docker("ps", "-a", "--format", "{{.Names}}").out.split()) - set(spared)
    if names:
        assert engine.docker("rm", "-fv", *names).status == 0
    for kind in ("volume", "network"):
        assert engine.docker(kind, "prune", *(["-a"] if kind == "volume" else []), "-f").status == 0
