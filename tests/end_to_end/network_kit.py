"""What tests of networks need: the docker client of an engine of their own, and whether a published port is served."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from scripts import images
from scripts.engine import ROOT, Engine, workplace

SERVE = ("busybox", "httpd", "-f", "-p", "80", "-h", "/bin")


class Docker:
    """The docker client of one engine, whose containers a kill ends at once."""

    def __init__(self, host: str) -> None:
        self._command = ["docker", "-H", host]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Whatever comes of it."""
        return subprocess.run([*self._command, *words], capture_output=True, text=True, timeout=60)

    def __call__(self, *words: str) -> str:
        """What it prints; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def wherry(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What our own client makes of it."""
        command = [str(ROOT / ".venv/bin/wherry"), *self._command[1:], *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def refused(self, *words: str) -> str:
        """What it complains of; it must fail."""
        done = self.run(*words)
        assert done.returncode != 0, f"{words} succeeded"
        text = done.stderr.partition("Error response from daemon: ")[2]
        return text.split("\n\nRun 'docker")[0].removesuffix("exit status 1\n").strip()

    def start(self, name: str, *words: str) -> str:
        """A container; its id."""
        return self("run", "-d", "--name", name, "--stop-signal", "KILL", *words)

    def settings(self, name: str) -> Any:
        """Its NetworkSettings."""
        return json.loads(self("inspect", name))[0]["NetworkSettings"]

    def inside(self, name: str, *words: str) -> str:
        """What a program of the host prints in the container's network namespace."""
        pid = self("inspect", name, "-f", "{{.State.Pid}}")
        done = subprocess.run(["nsenter", "-t", pid, "-n", *words], capture_output=True, text=True, check=True)
        return done.stdout


@contextlib.contextmanager
def own_engine() -> Iterator[Docker]:
    """An engine with the image busybox; its containers are removed in the end."""
    with workplace() as where:
        engine = Engine(where)
        try:
            client = Docker(where.host)
            client("load", "-qi", str(images.busybox()))
            yield client
            for name in client("ps", "-aq").split():
                client("rm", "-f", name)
            engine.stop()
        finally:
            engine.discard()


def served(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a container serves this port; a lost packet, sent again after 1 s only, counts as no."""
    connection = http.client.HTTPConnection(address, port, timeout=0.2)
    try:
        connection.request("GET", "/busybox")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def soon(what: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether it is so within this time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
