"""Two wherryds and a dockerd on one host, started and ended in an order, while a far machine asks each. Run as a program.

... FOLDER orders      every order of starting and ending; prints the requests and failures of each
... FOLDER dropped     a dockerd that drops what others forward, with and without firewall-integration

It runs in mount, network and process namespaces made for it: its end ends all it started, and what it mounts goes.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.bench.engines import peer
from scripts.docker_answers import isolate_writes
from scripts.engine import Engine, places
from scripts.images import busybox
from tests.plugins.network.world import wire

from wherry.linux.namespaces import CLONE_NEWNET, create_netns, remove_netns, set_sysctl
from wherry.linux.syscalls import call

HOST = "192.0.2.1"
NAMES = ("one", "two", "docker")
PORTS = {"one": 8001, "two": 8002, "docker": 8003}
PATIENCE = 2.0  # s that a request may take; a packet that is dropped is never answered


def run(*command: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class Asker(threading.Thread):
    """Somebody on the far machine who asks a port again and again, on new connections, while it should answer."""

    def __init__(self, far: int, port: int) -> None:
        super().__init__(daemon=True)
        self._far, self._port = far, port
        self._on, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self.asked = 0
        self.failures: list[str] = []

    def run(self) -> None:
        """Ask until the process ends."""
        call("setns", self._far, CLONE_NEWNET)
        while True:
            self._on.wait()
            self._idle.clear()
            while self._on.is_set():
                self.asked += 1
                if fault := ask(self._port):
                    self.failures.append(fault)
                time.sleep(0.005)
            self._idle.set()

    def begin(self) -> None:
        """Its container serves from now on."""
        self._on.set()

    def pause(self) -> None:
        """Its container is about to end; returns when no request is under way."""
        self._on.clear()
        time.sleep(0.02)
        self._idle.wait()


def ask(port: int, host: str = HOST) -> str:
    """One request from where the calling thread is; what went wrong, or ""."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/busybox")
        answer = connection.getresponse()
        return "" if answer.status == 200 and answer.read() else f"status {answer.status}"
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


@contextmanager
def far_machine(folder: Path) -> Iterator[int]:
    """A fresh host, in whose namespace the calling thread is from now on, and a machine it can only reach by a cable."""
    call("unshare", CLONE_NEWNET)
    run("ip", "link", "set", "lo", "up")
    create_netns(folder / "far")
    far = os.open(folder / "far", os.O_RDONLY | os.O_CLOEXEC)
    try:
        wire(far)
        yield far
    finally:
        os.close(far)
        remove_netns(folder / "far")


class Lab:
    """The three engines' roots, which outlive their daemons."""

    def __init__(self, folder: Path, cgroup: str) -> None:
        self.folder, self._cgroup = folder, cgroup
        for name in NAMES:
            (folder / name / "data").mkdir(parents=True, exist_ok=True)
        (folder / "docker" / "config").write_text("{}")

    @contextmanager
    def engine(self, name: str, *, integrate: bool = True) -> Iterator[str]:
        """The daemon of that name, up; yields its address for clients."""
        where = places(self.folder / name)
        if name == "docker":
            roots = ["--data-root", str(where.data), "--exec-root", str(where.run), "--pidfile", str(where.pidfile)]
            more = ["--bip", "172.31.3.1/24", "--cgroup-parent", f"/{self._cgroup}"]
            config = ["--config-file", str(self.folder / "docker" / "config")]
            with peer(where, ["dockerd", *roots, *more, *config, "-H", where.host], {}):
                yield where.host
            return
        config_file = self.folder / f"{name}.json"
        config_file.write_text(json.dumps({"firewall-integration": integrate}))
        bip = f"172.31.{NAMES.index(name) + 1}.1/24"
        engine = Engine(where, arguments=("--bip", bip, "--config-file", str(config_file)))
        yield where.host
        engine.stop()

    def prepare(self) -> None:
        """Give each engine the image and a container that serves a file."""
        for name in NAMES:
            with self.engine(name) as host:
                run("docker", "-H", host, "load", "-qi", str(busybox()))
                port = f"{PORTS[name]}:80"
                command = ("busybox", "httpd", "-f", "-p", "80", "-h", "/bin")
                run("docker", "-H", host, "create", "--name", "web", "--stop-signal", "KILL", "-p", port, *command)

    def order(self, order: Sequence[str], forwarding: str) -> dict[str, Any]:
        """Start the engines in this order and end them in it, each with its container, under traffic."""
        with far_machine(self.folder) as far:
            set_sysctl("net/ipv4/ip_forward", forwarding)
            askers = {name: Asker(far, PORTS[name]) for name in NAMES}
            running = {}
            for name in order:
                running[name] = self.engine(name)
                host = running[name].__enter__()
                run("docker", "-H", host, "start", "web")
                askers[name].start()
                serving(far, PORTS[name])
                askers[name].begin()
            time.sleep(0.3)
            for name in order:
                askers[name].pause()
                run("docker", "-H", places(self.folder / name).host, "stop", "web")
                running[name].__exit__(None, None, None)
            result = {name: [each.asked, each.failures] for name, each in askers.items()}
            return {"order": order, "forwarding": forwarding, "asked": result, "left": left_behind()}


def serving(far: int, port: int) -> None:
    """Return when the container's server has come up, or give up: whoever asks next will tell."""

    def wait() -> None:
        call("setns", far, CLONE_NEWNET)
        end = time.monotonic() + 5
        while ask(port) and time.monotonic() < end:
            time.sleep(0.02)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()


def left_behind() -> list[str]:
    """What of the wherryds is on the host: tables, marked rules, links."""
    found = run("nft", "list", "ruleset") + run("ip", "-br", "link")
    return [line for line in found.splitlines() if "wherry" in line or line.startswith(("wbr", "wv"))]


def orders(lab: Lab) -> list[Any]:
    """Every order, half of them on a host that does not forward at first."""
    return [lab.order(order, str(number % 2)) for number, order in enumerate(itertools.permutations(NAMES))]


def dropped(lab: Lab) -> dict[str, Any]:
    """A dockerd that comes first turns forwarding on and drops what others forward."""
    with far_machine(lab.folder) as far:
        set_sysctl("net/ipv4/ip_forward", "0")
        result: dict[str, Any] = {}
        with lab.engine("docker"):
            before = rules()
            for integrate in (False, True):
                with lab.engine("one", integrate=integrate) as host:
                    run("docker", "-H", host, "start", "web")
                    asker = Asker(far, PORTS["one"])
                    asker.start()
                    asker.begin()
                    time.sleep(0.5)
                    asker.pause()
                    warnings = json.loads(run("docker", "-H", host, "info", "--format", "{{json .Warnings}}"))
                    result[str(integrate)] = [asker.asked, asker.failures, warnings]
                    if integrate:
                        result["inserted"] = rules()
                        run("iptables", "-F", "DOCKER-USER")
                        time.sleep(0.5)
                        result["again"] = rules()
                        run("iptables", "-A", "DOCKER-USER", "-j", "RETURN")
                    run("docker", "-H", host, "stop", "web")
                result[f"clean {integrate}"] = rules() == before
        return result


def rules() -> list[str]:
    """dockerd's filter rules, as iptables, which must understand them, tells them."""
    return run("iptables", "-S").splitlines()


def main(folder: str, what: str) -> None:
    """Do what is asked and print it as JSON."""
    isolate_writes(Path(folder) / "root")
    lab = Lab(Path(folder) / "root", Path(folder).name)
    with far_machine(lab.folder):
        lab.prepare()
    sys.stdout.write(json.dumps(orders(lab) if what == "orders" else dropped(lab)))


if __name__ == "__main__":
    main(*sys.argv[1:])
