"""An engine with a configuration file that may be read again or changed for the next start, and Docker's client for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scripts import images
from scripts.engine import Engine, Places, workplace
from tests.fire.daemon import Api


class Lab:
    """An engine with a configuration file, and Docker's client for it."""

    def __init__(self, where: Places, values: dict[str, Any], *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self.where, self.file = where, where.top / "daemon.json"
        self._arguments, self._prefix = arguments, prefix
        self.start(values)
        self.docker("load", "-q", "-i", str(images.busybox()))

    def start(self, values: dict[str, Any]) -> None:
        """Start it with this file."""
        self.file.write_text(json.dumps(values))
        arguments = ("--config-file", str(self.file), *self._arguments)
        self.engine = Engine(self.where, arguments=arguments, prefix=self._prefix)

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of Docker's client."""
        command = ["docker", "-H", self.where.host, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def docker(self, *words: str) -> str:
        """What a command that works prints."""
        done = self.call(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fails(self, *words: str) -> str:
        """What a command that must fail says."""
        done = self.call(*words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def shows(self, *words: str) -> Any:
        """The first object that a command prints in JSON."""
        found = json.loads(self.docker(*words))
        return found[0] if isinstance(found, list) else found

    def create(self, name: str, check: object) -> None:
        """A container that runs, with a health check that the command line has no words for."""
        body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Healthcheck": check}
        api = Api(self.where.socket)
        api("POST", "/containers/create", body, name=name)
        api("POST", f"/containers/{name}/start")

    def info(self) -> Any:
        """All that `info` says."""
        return self.shows("info", "--format", "{{json .}}")

    def reload(self, values: dict[str, Any]) -> None:
        """Read another file."""
        self.file.write_text(json.dumps(values))
        told = self.told("read again")
        os.kill(self.engine.pid, signal.SIGHUP)
        late = time.monotonic() + 5
        while self.told("read again") == told:
            assert time.monotonic() < late
            time.sleep(0.02)

    def told(self, text: str) -> int:
        """How often the engine's log says this."""
        return self.where.log.read_text().count(text)


@contextmanager
def lab(values: dict[str, Any], *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[Lab]:
    """A lab whose containers are removed in the end."""
    with workplace() as where:
        made = Lab(where, values, *arguments, prefix=prefix)
        try:
            yield made
            if ids := made.docker("ps", "-aq").split():
                made.docker("rm", "-f", *ids)
            made.engine.stop()
            assert where.audit.read_text() == ""
        finally:
            made.engine.discard()
