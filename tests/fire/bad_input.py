"""Requests that cannot be right, as tests/fire/bad_input.toml lists them, sent to an engine.

python -m tests.fire.bad_input OUT      sends them to a dockerd in namespaces of its own; its answers as JSON
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from scripts import images
from scripts.bench.engines import dockerd
from scripts.bench.main import isolate

from wherry.testing.ledger import become_subreaper

TABLE = Path(__file__).with_suffix(".toml")
OUR_PORT, FOREIGN_PORT = 18080, 18081  # taken by a container, and by another process: the table names them
VARIABLE = (  # what is different each time
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"/tmp/wherry-\w+/data"), "ROOT"),
    (re.compile(r"docker-import-\d+"), "FOLDER"),
    (re.compile(r"to \d+\.00, as there are only \d+ CPU"), "to N, as there are only N CPU"),
)
JSON, TAR = "application/json", "application/x-tar"


@attrs.frozen
class Answer:
    """An answer's status and its message, or what is wrong in a stream's last line; "" for success."""

    status: int
    text: str


@attrs.frozen(kw_only=True)
class Request:
    """One row: a request, our answer and dockerd's, and why they differ if they do."""

    name: str
    request: str = ""  # METHOD PATH
    start: str = ""  # instead: a container of this configuration is made and started
    body: str = ""  # JSON, or the name of one of BODIES
    type: str = JSON
    answer: Answer
    dockerd: Answer
    why: str = ""


def table() -> Sequence[Request]:
    """The rows of the file. Where a row says nothing of dockerd, it answers as we do."""
    found = []
    for row in tomllib.loads(TABLE.read_text())["request"]:
        ours = Answer(row.pop("status"), row.pop("text"))
        theirs = row.pop("dockerd", {})
        theirs = Answer(theirs.get("status", ours.status), theirs.get("text", ours.text))
        found.append(Request(answer=ours, dockerd=theirs, **row))
    return found


def bodies() -> Mapping[str, bytes]:
    """What is no JSON, or too long to be written down."""
    big = {"Image": "busybox", "Cmd": ["true"], "Labels": {"x": "y" * 10_000_000}}
    return {
        "10 MB": json.dumps(big).encode(),
        "deep": b'{"Labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "nonsense": b"nonsense" * 1000,
        "empty": b"",
        "truncated": gzip.compress(images.busybox().read_bytes(), 1)[:100_000],
        "no manifest": _tar("readme"),
    }


def _tar(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return out.getvalue()


class Client:
    """Sends the requests of the table to one engine, one connection each."""

    def __init__(self, path: Path) -> None:
        self._path, self._bodies = path, bodies()

    def ask(self, request: str, body: bytes | None = None, kind: str = JSON) -> tuple[int, Any]:
        """The status and the answer's value, or its text."""
        method, _, path = request.partition(" ")
        connection = http.client.HTTPConnection("engine")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(str(self._path))
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
            answer = connection.getresponse()
            data = answer.read().decode(errors="replace")
        try:
            return answer.status, json.loads(data)
        except ValueError:
            return answer.status, data

    def do(self, request: str, **body: object) -> Any:
        """A good request: its answer's value."""
        status, value = self.ask(request, json.dumps(body).encode() if body else None)
        assert status < 400, (request, status, value)
        return value

    def prepare(self) -> None:
        """What the table speaks of."""
        self.ask("POST /images/load", images.busybox().read_bytes(), TAR)
        bindings = {"80/tcp": [{"HostPort": str(OUR_PORT)}]}
        host = {"PortBindings": bindings, "StopSignal": "KILL"}
        taken = {"Image": "busybox", "Cmd": ["sleep", "1000"], "ExposedPorts": {"80/tcp": {}}, "HostConfig": host}
        self.do("POST /containers/create?name=taken", **taken)
        self.do("POST /containers/taken/start")
        self.do("POST /containers/create?name=stopped", Image="busybox", Cmd=["true"])
        self.do("POST /volumes/create", Name="vol")
        self.do("POST /networks/create", Name="net1")

    def clear(self) -> None:
        """Remove everything."""
        for container in self.do("GET /containers/json?all=1"):
            self.do(f"DELETE /containers/{container['Id']}?force=1&v=1")
        for volume in self.do("GET /volumes")["Volumes"] or ():
            self.do(f"DELETE /volumes/{volume['Name']}")
        for network in self.do("GET /networks"):
            if network["Name"] not in ("bridge", "host", "none"):
                self.do(f"DELETE /networks/{network['Id']}")

    def send(self, row: Request) -> Answer:
        """Send what a row says."""
        if row.start:
            id = self.do("POST /containers/create?name=failing", Image="busybox", **json.loads(row.start))["Id"]
            status, value = self.ask(f"POST /containers/{id}/start")
            self.do(f"DELETE /containers/{id}?force=1")
            return _answer(status, value)
        body = self._bodies.get(row.body, row.body.encode() or None)
        return _answer(*self.ask(row.request, body, row.type))

    def send_all(self, rows: Sequence[Request]) -> dict[str, Answer]:
        """The answers to all, by name."""
        self.prepare()
        with socket.create_server(("0.0.0.0", FOREIGN_PORT)):
            found = {row.name: self.send(row) for row in rows}
        self.clear()
        return found


def _answer(status: int, value: Any) -> Answer:
    text = str(value.get("message", value.get("error", ""))) if isinstance(value, dict) else str(value)
    if status < 400 and not isinstance(value, dict):
        text = ""
    for pattern, name in VARIABLE:
        text = pattern.sub(name, text)
    return Answer(status, text)


def main(out: Path) -> None:
    """Ask a dockerd."""
    become_subreaper()
    isolate()
    with dockerd() as engine:
        answers = Client(Path(engine.host.removeprefix("unix://"))).send_all(table())
    out.write_text(json.dumps({name: attrs.asdict(answer) for name, answer in answers.items()}))


def ask_dockerd(out: Path) -> Mapping[str, Answer]:
    """`main` in namespaces of its own. Raises CalledProcessError."""
    command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, "-m", "tests.fire.bad_input"]
    subprocess.run([*command, str(out)], check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
    return {name: Answer(**answer) for name, answer in json.loads(out.read_text()).items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
