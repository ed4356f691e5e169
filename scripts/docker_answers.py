"""Asks a dockerd of its own the requests that our API serves, and keeps which properties the answers have: no values.

The daemon runs in mount, network and process namespaces that were made for it, on a data root in memory. The end of the
first process in there ends all others, and the mounts, links and data go with the namespaces; what remains, control
groups and one folder, is removed here.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.docker_requests import all_requests
from scripts.engine import remove_cgroups
from tests.api.openapi_checks import RECORDED, exceptions, find, instances, join, validate

STARTING_TAKES = 60.0  # seconds; a slow disk and containerd need some


class Daemon:
    """A client of one dockerd that remembers what the answers had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: dict[str, dict[str, list[frozenset[str]]]] = defaultdict(lambda: defaultdict(list))
        self.faults: list[str] = []

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send one request, take note of the answer and return it decoded (its bytes if it is no JSON)."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
        connection = UnixConnection(self.path)
        try:
            connection.request(method, path, data, {"Content-Type": kind})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        self._note(method, path, response.status, answer)
        is_json = response.getheader("Content-Type", "").startswith("application/json")
        try:
            return json.loads(answer) if is_json and answer else answer
        except ValueError:  # a stream of several
            return answer

    def properties(self) -> dict[str, dict[str, list[str]]]:
        """What was seen, by operation: names that each object at that place had, and names that only some had."""
        found = {}
        for key, places in sorted(self.seen.items()):
            always = {join(place, n) for place, sets in places.items() for n in frozenset.intersection(*sets)}
            ever = {join(place, n) for place, sets in places.items() for n in frozenset.union(*sets)}
            found[key] = {"always": sorted(always), "sometimes": sorted(ever - always)}
        return found

    def _note(self, method: str, path: str, status: int, answer: bytes) -> None:
        operation = find(method, path)
        excused = exceptions().get(operation.key, {}) if operation else {}
        told = validate(method, path, status, answer)
        self.faults += [fault for fault in told if not any(f" {name} is not documented" in fault for name in excused)]
        if operation is not None and status < 300:
            for instance in instances(operation, status, answer):
                self.seen[operation.key][instance.place].append(instance.names)
        elif status == 500:
            self.faults.append(f"{method} {path}: {status} {answer!r}")


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def main() -> int:
    """Run the recording in namespaces of its own and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dockerd", default="dockerd", help="the daemon's program")
    parser.add_argument("--output", type=Path, default=RECORDED, help="where to write")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        return record(arguments.dockerd, arguments.inside)
    work = Path(tempfile.mkdtemp(prefix="docker-answers-"))
    result = work / "result"
    result.mkdir()
    isolate = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--net",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child",
    ]
    try:
        again = [sys.executable, sys.argv[0], "--dockerd", arguments.dockerd, "--inside", str(work)]
        code = subprocess.run([*isolate, *again], check=False).returncode
        if code == 0:
            shutil.copyfile(result / "properties.json", arguments.output)
        return code
    finally:
        remove_cgroups(work.name)
        shutil.rmtree(work)


def record(dockerd: str, work: Path) -> int:
    """In the namespaces: start the daemon, ask it, write the names to `work`/result/properties.json."""
    isolate_writes(work / "root")
    with running(dockerd, work) as daemon:
        all_requests(daemon)
    (work / "result" / "properties.json").write_text(json.dumps(daemon.properties(), indent=1) + "\n")
    for fault in sorted(set(daemon.faults)):
        print(f"not as documented: {fault}", file=sys.stderr)
    print(f"{len(daemon.seen)} operations recorded", file=sys.stderr)
    return 0


def isolate_writes(root: Path) -> None:
    """A data root in memory, and nothing that dockerd and containerd write elsewhere reaches the host."""
    root.mkdir()
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "tmpfs", "tmpfs", root)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    # dockerd keeps a key in /etc/docker and containerd makes a folder in /opt, whatever their options.
    for name in ("etc", "opt"):
        upper, scratch = root / f"{name}-upper", root / f"{name}-work"
        upper.mkdir()
        scratch.mkdir()
        run(
            "mount",
            "-t",
            "overlay",
            "overlay",
            "-o",
            f"lowerdir=/{name},upperdir={upper},workdir={scratch}",
            f"/{name}",
        )


def run(*command: str | Path) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, check=True)


@contextmanager
def running(dockerd: str, work: Path) -> Iterator[Daemon]:
    """A dockerd that answers; it ends with the block."""
    root = work / "root"
    config = root / "daemon.json"
    config.write_text("{}")
    command = [
        dockerd,
        *(
            "--data-root",
            root / "data",
            "--exec-root",
            root / "exec",
            "--pidfile",
            root / "pid",
            "--config-file",
            config,
        ),
        *("--host", f"unix://{root}/socket", "--cgroup-parent", f"/{work.name}"),
        *("--iptables=false", "--ip6tables=false", "--ip-masq=false"),
    ]
    log = root / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        try:
            daemon = Daemon(root / "socket")
            wait_until_it_answers(process, daemon, log)
            yield daemon
        finally:
            process.terminate()
            process.wait()


def wait_until_it_answers(process: subprocess.Popen[bytes], daemon: Daemon, log: Path) -> None:
    """Return when a ping is answered. A daemon that ends or is silent is an error that shows its log."""
    deadline = time.monotonic() + STARTING_TAKES
    while time.monotonic() < deadline and process.poll() is None:
        try:
            daemon.ask("GET", "/_ping")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"dockerd does not answer:\n{log.read_text()[-3000:]}")
