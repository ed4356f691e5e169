"""A real engine with the image busybox, for tests of execs: its clients, its API and its processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scripts import images
from scripts.engine import Engine, Places, workplace
from tests.cli.client import Client
from tests.cli.pty_client import OnTerminal

from wherry.testing import tasks
from wherry.testing.ledger import reap_orphans


class World:
    """An engine that can be killed and started again."""

    def __init__(self, where: Places) -> None:
        self.where = where
        self.engine = Engine(where)
        self.docker = Client(["docker", "-H", where.host], "docker")
        self.wherry = Client([str(Path(sys.executable).with_name("wherry")), "-H", where.host], "wherry")

    def client(self, name: str) -> Client:
        """Docker's client or ours."""
        return self.docker if name == "docker" else self.wherry

    def on_terminal(self, name: str, *words: str) -> OnTerminal:
        """The client on a terminal of 30 lines and 100 columns."""
        client = self.client(name)
        return OnTerminal([*client.command, *words], client.environment(None))

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request to the API: status, and the answer's value."""
        connection = http.client.HTTPConnection("engine")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.where.socket))
        try:
            given = None if body is None else json.dumps(body)
            connection.request(method, path, given, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data.strip() else None
        finally:
            connection.close()

    def detached(self, container: str, *command: str) -> str:
        """Start a program that nobody is connected to; the exec's id."""
        status, made = self.ask("POST", f"/containers/{container}/exec", {"Cmd": command})
        assert status == 201, made
        assert self.ask("POST", f"/exec/{made['Id']}/start", {"Detach": True})[0] == 200
        return str(made["Id"])

    def code(self, id: str) -> int:
        """The exit code of an exec, awaited."""
        until(lambda: self.ask("GET", f"/exec/{id}/json")[1]["ExitCode"] is not None)
        return int(self.ask("GET", f"/exec/{id}/json")[1]["ExitCode"])

    def running(self, container: str) -> list[str]:
        """The execs that run in a container."""
        return self.ask("GET", f"/containers/{container}/json")[1]["ExecIDs"] or []

    def end_all(self, container: str) -> None:
        """Kill them."""
        for id in self.running(container):
            os.kill(self.ask("GET", f"/exec/{id}/json")[1]["Pid"], signal.SIGKILL)
        until(lambda: not self.running(container))

    def processes(self) -> dict[str, int]:
        """The pids of wherryd, supervisor and monitor."""
        names = {"wherry-superv": "supervisor", "wherry-monitor": "monitor"}
        found = {"wherryd": self.engine.pid}
        for process in tasks.descendants(os.getpid()):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                name = Path(f"/proc/{process.pid}/comm").read_text().strip()
                if name in names and str(self.where.run) in Path(f"/proc/{process.pid}/cmdline").read_text():
                    found[names[name]] = process.pid
        return found


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.01)


@contextmanager
def world() -> Iterator[World]:
    """A fresh engine, ended in order."""
    with workplace() as where:
        made = World(where)
        try:
            subprocess.run(
                [*made.docker.command, "load", "-q", "-i", images.busybox()], check=True, capture_output=True
            )
            yield made
            ids = made.docker("ps", "-aq").out.split()
            # as the host's init does: zombies that a killed supervisor has left to us keep their container from ending
            reap_orphans([made.engine.pid])
            if ids:
                done = made.docker("rm", "-f", *ids)
                assert done.status == 0, done.err
            made.engine.stop()
            assert where.audit.read_text() == "", "side effects outside a step"
        finally:
            made.engine.discard()
