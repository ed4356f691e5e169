"""The demo: the everyday job of a container engine, each step as the command a user would type.

Build images from Debian's packages, start wherryd on a fresh disk, and do the job once with `wherry` and once with
`docker`: load, a volume, a network, a web server on a published port, its page, its volume, its logs, its end. Afterwards
the host must be as it was (the ledger), and no side effect may have happened outside a named step (the audit).
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts import images
from scripts.engine import ROOT, Engine, Places, free_port, sweep, workplace

from wherry.testing.ledger import Ledger, become_subreaper, reap_orphans

PATIENCE = 5.0
# What a job must take away again. An idle engine may keep folders and its cgroup until it ends.
OF_THE_JOB = ("mount", "namespace", "link", "nft", "process", "port")
NOTE = "written by one container, read by another"


class Trouble(Exception):
    """A step did not do what it should."""


@dataclass
class Client:
    """One of the two command-line clients, and how long its commands took."""

    name: str
    program: str
    environment: dict[str, str]
    times: list[tuple[str, float]] = field(default_factory=list)

    def __call__(self, *arguments: str, expect: str = "") -> str:
        """Run a command, shown as typed; returns its output. Trouble when it fails or `expect` is not in the output."""
        shown = shlex.join([self.name, *arguments])
        print(f"\n$ {shown}", flush=True)
        begun = time.monotonic()
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        self.times.append((shown, time.monotonic() - begun))
        print(done.stdout, end="", flush=True)
        if done.returncode:
            raise Trouble(f"`{shown}` ended with status {done.returncode}")
        if expect not in done.stdout:
            raise Trouble(f"`{shown}` did not print {expect!r}")
        return done.stdout


def clients(where: Places, wanted: Sequence[str]) -> list[Client]:
    """The clients that are asked for, all pointed at our engine and at no configuration of the user's."""
    docker = shutil.which("docker")
    if docker is None:
        raise Trouble("there is no docker client on PATH")
    programs = {"wherry": str(ROOT / ".venv/bin/wherry"), "docker": docker}
    config = where.top / "client"
    config.mkdir(exist_ok=True)
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("DOCKER_", "WHERRY_"))}
    environment |= {"DOCKER_HOST": where.host, "WHERRY_HOST": where.host, "DOCKER_CONFIG": str(config)}
    return [Client(name, programs[name], environment) for name in wanted]


def fetch(url: str, expect: str) -> None:
    """Get a page as a browser would; the server may take a moment to listen."""
    print(f"\n$ curl {url}", flush=True)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PATIENCE) as answer:
                page = answer.read().decode()
            break
        except OSError as error:
            if time.monotonic() > end:
                raise Trouble(f"{url} cannot be fetched: {error}") from error
            time.sleep(0.02)
    print(page, end="", flush=True)
    if expect not in page:
        raise Trouble(f"{url} does not hold {expect!r}")


def prepare(client: Client, archives: Sequence[Path]) -> None:
    """Images, a volume, a network."""
    for archive in archives:
        client("load", "--input", str(archive), expect="Loaded image")
    client("images", expect="busybox")
    client("volume", "create", "site", expect="site")
    client("network", "create", "front")


def serve(client: Client, port: int) -> None:
    """A web server behind a published port, with a volume that others write and read."""
    url = f"http://127.0.0.1:{port}/"
    client("run", "-d", "--name", "web", "--network", "front", "-p", f"{port}:80", "-v", "site:/srv/www", "web")
    fetch(url, "Wherry is afloat")
    client("run", "--rm", "-v", "site:/site", "busybox", "sh", "-c", f"echo {NOTE} > /site/note.txt")
    fetch(f"{url}note.txt", NOTE)
    client("run", "--rm", "-v", "site:/site:ro", "busybox", "cat", "/site/note.txt", expect=NOTE)
    address = client(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "web", expect="."
    ).strip()
    client(
        "run",
        "--rm",
        "--network",
        "front",
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        f"http://{address}/note.txt",
        expect=NOTE,
    )
    client("logs", "web", expect="GET /note.txt")
    client("ps", expect=f"0.0.0.0:{port}->80/tcp")
    client(
        "inspect",
        "--format",
        "{{.State.Status}} {{.Config.Image}} {{json .NetworkSettings.Ports}}",
        "web",
        expect="running",
    )


def end(client: Client, port: int) -> None:
    """Stop, start again, kill, and remove everything."""
    client("stop", "web", expect="web")
    client("ps", "--all", expect="Exited (0)")
    client("start", "web", expect="web")
    fetch(f"http://127.0.0.1:{port}/note.txt", NOTE)
    client("kill", "web", expect="web")
    client("wait", "web", expect="137")
    client("rm", "web", expect="web")
    client("network", "rm", "front", expect="front")
    client("volume", "rm", "site", expect="site")
    client("rmi", "web:latest", "web:two", "busybox:latest", expect="Deleted: sha256:")
    client("ps", "--all", "--quiet")


def take(where: Places) -> Ledger:
    """The ledger of everything that the engine may touch, apart from its own data."""
    return Ledger.take(roots=[where.run, where.socket, where.pidfile])


def settled(before: Ledger, where: Places) -> list[str]:
    """What is still different from `before`, in the kinds that it has, after a moment of patience."""
    end_of_patience = time.monotonic() + PATIENCE
    while True:
        reap_orphans()
        lines = before.differences(take(where))
        if not lines or time.monotonic() > end_of_patience:
            return lines
        time.sleep(0.05)


def job(where: Places, client: Client, archives: Sequence[Path]) -> None:
    """The whole job by one client; the engine holds nothing afterwards."""
    version = client("version", "--format", "{{.Client.Version}}").strip()
    print(f"(the {client.name} client is version {version}; it finds the engine by {where.host})")
    before = take(where).only(*OF_THE_JOB)
    port = free_port()
    prepare(client, archives)
    serve(client, port)
    end(client, port)
    if lines := settled(before, where):
        raise Trouble("after the job the host is not as it was before:\n  " + "\n  ".join(lines))


def show_times(done: Sequence[Client]) -> None:
    """How long each command took, side by side."""
    print("\nseconds  command")
    for client in done:
        for shown, seconds in client.times:
            print(f"{seconds:7.3f}  {shown[:110]}")
        total = sum(seconds for _, seconds in client.times)
        print(f"{total:7.3f}  in all by {client.name}, {len(client.times)} commands")


def heading(text: str) -> None:
    """A line that is easily found in the output."""
    print(f"\n=== {text}", flush=True)


def run(where: Places, wanted: Sequence[str], storage: str) -> None:
    """Images, engine, job, ledger."""
    heading("building the images from Debian's packages (kept in the cache for the next time)")
    archives = [images.busybox(), *images.web()]
    for archive in archives:
        print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    users = clients(where, wanted)
    before = take(where)
    heading("starting the engine")
    engine = Engine(where, arguments=("--storage-driver", storage))
    try:
        print(f"$ {shlex.join(engine.command())} &\n(ready after {engine.started_in:.2f} s)")
        for client in users:
            heading(f"the job, by the {client.name} client")
            job(where, client, archives)
        heading("stopping the engine")
        print(f"$ kill -TERM {engine.pid}\n(ended after {engine.stop():.2f} s)")
    except BaseException:
        print(f"\n--- the end of the engine's log:\n{engine.log_tail()}", file=sys.stderr)
        engine.discard()
        sweep(before, take(where))
        raise
    show_times(users)
    heading("the ledger: mounts, links, namespaces, nft, cgroups, processes, ports, files")
    if lines := settled(before, where):
        raise Trouble("the host is not as it was before the engine:\n  " + "\n  ".join(lines))
    print("clean: the host is as it was before")
    if outside := where.audit.read_text():
        raise Trouble(f"side effects outside a named step:\n{outside}")
    print("no side effect happened outside a named step")


def main(arguments: Sequence[str]) -> int:
    """0 when all of it went well."""
    wanted, storage = list(arguments), "overlay2"
    if wanted[:1] == ["--storage-driver"] and len(wanted) > 1:
        storage, wanted = wanted[1], wanted[2:]
    wanted = wanted or ["wherry", "docker"]
    if unknown := set(wanted) - {"wherry", "docker"}:
        print(f"unknown client {', '.join(unknown)}; known are wherry and docker", file=sys.stderr)
        return 2
    become_subreaper()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # so that what is open is cleaned up
    begun = time.monotonic()
    try:
        with workplace() as where:
            run(where, wanted, storage)
    except (Trouble, RuntimeError, subprocess.SubprocessError, OSError) as error:
        print(f"\ndemo FAILED: {error}", file=sys.stderr)
        return 1
    print(f"\ndemo passed in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
