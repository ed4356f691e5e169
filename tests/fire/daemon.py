"""A real wherryd on a disk of its own, and its API over the socket: for what only whole processes can show."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import sys
import tarfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scripts.engine import Engine, Places, sweep, unmount_below, workplace

from wherry.testing.ledger import Ledger, become_subreaper

IMAGE = "lab"
BACK = 2.0  # seconds in which an engine that was killed answers again: a promise


class Refused(Exception):
    """The engine answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Api:
    """Requests to one engine. Raises `Refused`, and OSError or HTTPException where the engine is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """The decoded answer, its text if it is no JSON."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        answer = self.raw(method, path, body)
        try:
            return json.loads(answer)
        except ValueError:
            return answer.decode()

    def raw(self, method: str, path: str, body: object = None) -> bytes:
        """The answer as it came."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
        with contextlib.closing(_Connection(self._path)) as connection:
            connection.request(method, path, raw, {"Content-Type": kind})
            response = connection.getresponse()
            answer = response.read()
        if response.status >= 400:
            raise Refused(response.status, json.loads(answer)["message"])
        return answer

    def import_image(self) -> None:
        """An image with busybox and nothing else."""
        self("POST", "/images/create", busybox(), fromSrc="-", repo=IMAGE)

    def create(
        self, name: str, command: str = "exec sleep 1000", *, stop_signal: str = "SIGKILL", **host: object
    ) -> str:
        """A container without network that runs this shell command."""
        config: dict[str, Any] = {"Image": IMAGE, "Cmd": ["sh", "-c", command], "StopSignal": stop_signal}
        config["HostConfig"] = {"NetworkMode": "none", **host}
        return str(self("POST", "/containers/create", config, name=name)["Id"])

    def run(self, name: str, command: str = "exec sleep 1000", *, policy: str = "", most: int = 0, **host: Any) -> str:
        """A container that runs."""
        if policy:
            host["RestartPolicy"] = {"Name": policy, "MaximumRetryCount": most}
        id = self.create(name, command, **host)
        self("POST", f"/containers/{id}/start")
        return id

    def inspect(self, name: str) -> Any:
        """All about a container."""
        return self("GET", f"/containers/{name}/json")

    def status(self, name: str) -> str:
        """What it is doing; "gone" if there is none."""
        try:
            return str(self.inspect(name)["State"]["Status"])
        except Refused:
            return "gone"

    def events(self, name: str) -> list[str]:
        """The actions of a container so far."""
        filters = json.dumps({"container": [name], "type": ["container"]})
        lines = self("GET", "/events", since=0, until=f"{time.time():.9f}", filters=filters)
        lines = [lines] if isinstance(lines, dict) else map(json.loads, lines.splitlines())
        return [line["Action"] for line in lines]


def eventually(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.01)


def busybox() -> bytes:
    """A root file system."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "etc", "proc", "sys", "dev", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "sleep", "true", "cat", "usleep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return out.getvalue()


class Fire:
    """An engine that may be killed and started again."""

    def __init__(self, where: Places, prefix: tuple[str, ...] = ()) -> None:
        self.where, self.api, self.prefix = where, Api(where.socket), prefix
        self.engine = Engine(where, prefix=prefix)
        self.api.import_image()

    def kill(self) -> None:
        """SIGKILL for wherryd alone."""
        self.engine.kill()

    def arm(self, step: str, fault: str) -> None:
        """Kill it, and start it again with this failpoint."""
        self.kill()
        self.engine = Engine(self.where, {"WHERRY_FAILPOINTS": f"{step}={fault}"}, prefix=self.prefix)

    def start(self, *more: str) -> float:
        """Start it again, with more arguments; the seconds until it answers."""
        self.engine = Engine(self.where, prefix=self.prefix, arguments=more)
        return self.engine.started_in

    def end(self) -> None:
        """Remove all containers, and end in order."""
        for container in self.api("GET", "/containers/json", all=1):
            self.api("DELETE", f"/containers/{container['Id']}", force=1, v=1)
        self.engine.stop()
        assert self.where.audit.read_text() == ""


@contextlib.contextmanager
def on_fire(prefix: Callable[[Places], tuple[str, ...]] = lambda _: ()) -> Iterator[Fire]:
    """An engine, behind a command if one is given, that leaves the host as it was, also if the test fails."""
    become_subreaper()
    before = Ledger.take()
    with workplace("1G") as where:
        fire = Fire(where, prefix(where))
        try:
            yield fire
            fire.end()
        except BaseException:
            sys.stderr.write(fire.engine.log_tail(60))
            fire.engine.discard()
            unmount_below(where.run)
            sweep(before, Ledger.take())
            raise
