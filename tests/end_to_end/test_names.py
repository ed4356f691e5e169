"""Containers find each other by name, as Docker's client and busybox's nslookup see it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from scripts import images
from scripts.engine import Engine, Places, workplace
from tests.plugins.network.dns_kit import Server, response

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]


class Docker:
    """Docker's client, and the engine that it talks to."""

    def __init__(self, where: Places) -> None:
        self._where, self._stack = where, ExitStack()
        self.engine = Engine(where)
        self("load", "-q", "-i", str(images.busybox()))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Whatever comes of it."""
        command = ["docker", "-H", self._where.host, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def __call__(self, *words: str) -> str:
        """What it prints; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout.strip()

    def shell(self, script: str, *options: str) -> str:
        """What a script prints in a container of its own."""
        return self("run", "--rm", *options, "busybox", "sh", "-c", script)

    def up(self, name: str, *options: str) -> str:
        """A container that serves its name on port 80; its id."""
        serve = f"mkdir /w; echo {name} > /w/index.html; exec httpd -f -h /w"
        return self("run", "-d", "--name", name, *options, "busybox", "sh", "-c", serve)

    def restart_engine(self) -> None:
        """Kill it, and start another one."""
        self.kill_engine()
        self.engine = Engine(self._where)

    def kill_engine(self) -> None:
        """By SIGKILL."""
        os.kill(self.engine.pid, signal.SIGKILL)
        self.engine._process.wait()

    def server(self, address: str) -> Server:
        """Somebody on the host who knows one address for everything."""
        made = Server(None, address, lambda data, _: [response(data, "192.0.2.1")])
        self._stack.callback(made.close)
        return made

    def close(self) -> None:
        """Nothing stays."""
        self._stack.close()
        if ids := self("ps", "-aq").split():
            self("rm", "-f", *ids)
        self.engine.stop()


@pytest.fixture
def docker(host_ledger: HostLedger) -> Iterator[Docker]:
    del host_ledger
    with workplace() as where:
        made = Docker(where)
        try:
            yield made
            made.close()
        finally:
            made.engine.discard()
        assert where.audit.read_text() == ""


def addresses(text: str) -> list[str]:
    """Those that nslookup has found, without the server's own."""
    found = [line.split()[-1] for line in text.splitlines() if line.startswith("Address")]
    return sorted(address for address in found if not address.startswith("127.0.0.11"))


def address(docker: Docker, name: str, network: str = "net") -> str:
    return docker("inspect", "-f", f"{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}", name)


def test_containers_of_a_network_find_each_other(docker: Docker) -> None:
    docker("network", "create", "net")
    docker("network", "create", "other")
    id = docker.up("alpha", "--network", "net", "--network-alias", "web", "--hostname", "myhost")
    docker.up("beta", "--network", "net", "--network-alias", "web")
    first, second = address(docker, "alpha"), address(docker, "beta")
    for name in ("alpha", "myhost", id[:12], "alpha.net"):
        assert docker.shell(f"wget -qO- http://{name}/", "--network", "net") == "alpha"
        assert addresses(docker.shell(f"nslookup {name}", "--network", "net")) == [first]
    assert addresses(docker.shell("nslookup web", "--network", "net")) == sorted([first, second])
    assert "name = alpha.net" in docker.shell(f"nslookup {first}", "--network", "net").splitlines()[-1]
    assert docker.run("run", "--rm", "--network", "other", "busybox", "nslookup", "alpha").returncode
    docker("stop", "-t", "0", "beta")
    assert addresses(docker.shell("nslookup web", "--network", "net")) == [first]
    docker("start", "beta")
    assert addresses(docker.shell("nslookup web", "--network", "net")) == sorted([first, address(docker, "beta")])


def test_inspect_shows_aliases_and_names(docker: Docker) -> None:
    docker("network", "create", "net")
    id = docker.up("alpha", "--network", "net", "--network-alias", "web", "--hostname", "myhost")
    (seen,) = json.loads(docker("inspect", "alpha"))
    endpoint = seen["NetworkSettings"]["Networks"]["net"]
    assert endpoint["Aliases"] == ["web"]
    assert endpoint["DNSNames"] == ["alpha", "web", id[:12], "myhost"]
    docker.up("plain")
    (seen,) = json.loads(docker("inspect", "plain"))
    assert seen["NetworkSettings"]["Networks"]["bridge"]["DNSNames"] is None


def test_files_say_who_is_asked(docker: Docker) -> None:
    docker("network", "create", "net")
    options = ("--dns", "192.0.2.7", "--dns-search", "corp.example", "--dns-opt", "timeout:1")
    named = docker.shell("cat /etc/resolv.conf", "--network", "net", *options)
    assert named.splitlines() == ["nameserver 127.0.0.11", "search corp.example", "options timeout:1 ndots:0"]
    plain = docker.shell("cat /etc/resolv.conf", *options)
    assert plain.splitlines() == ["nameserver 192.0.2.7", "search corp.example", "options timeout:1"]
    gateway = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
    hosts = docker.shell(
        "cat /etc/hosts", "--network", "net", "--add-host", "me:host-gateway", "--add-host", "x:1.2.3.4"
    )
    assert f"{gateway}\tme" in hosts.splitlines()
    assert "1.2.3.4\tx" in hosts.splitlines()
    full = docker.shell(
        "hostname; hostname -f; cat /proc/sys/kernel/domainname", "--hostname", "h", "--domainname", "d.example"
    )
    assert full.split() == ["h", "h.d.example", "d.example"]
    assert (
        docker.shell("cat /etc/hosts", "--network", "host").splitlines()
        == Path("/etc/hosts").read_text().strip().splitlines()
    )
    done = docker.run("run", "--rm", "--dns", "no.address", "busybox", "true")
    assert done.returncode == 125


def test_a_container_in_anothers_network_shares_its_files_and_names(docker: Docker) -> None:
    docker("network", "create", "net")
    id = docker.up("alpha", "--network", "net", "--hostname", "myhost")
    seen = docker.shell("hostname; cat /etc/hostname; nslookup myhost", "--network", "container:alpha")
    assert seen.split()[:2] == ["myhost", "myhost"]
    assert addresses(seen) == [address(docker, "alpha")]
    docker("create", "--name", "guest", "--network", "container:alpha", "busybox", "true")
    assert docker("inspect", "-f", "{{.HostConfig.NetworkMode}}", "guest") == f"container:{id}"
    docker("stop", "-t", "0", "alpha")
    done = docker.run("start", "guest")
    assert f"cannot join network of a non running container: {id}" in done.stderr


def test_links_are_names_in_a_network_and_lines_and_variables_in_the_default_one(docker: Docker) -> None:
    docker("network", "create", "net")
    docker.up("alpha", "--network", "net")
    assert docker.shell("wget -qO- http://elle/", "--network", "net", "--link", "alpha:elle") == "alpha"
    assert docker.run("run", "--rm", "--network", "net", "busybox", "nslookup", "elle").returncode
    docker.up("db", "-e", "KEY=value", "--expose", "5432")
    docker("run", "-d", "--name", "user", "--link", "db:the-db", "busybox", "sleep", "99")
    assert docker("inspect", "-f", "{{json .HostConfig.Links}}", "user") == '["/db:/user/the-db"]'
    seen = docker.shell("wget -qO- http://the-db/; env", "--link", "db:the-db").splitlines()
    assert seen[0] == "db"
    assert f"THE_DB_PORT_5432_TCP=tcp://{address(docker, 'db', 'bridge')}:5432" in seen
    assert "THE_DB_ENV_KEY=value" in seen
    docker("rm", "--link", "user/the-db")
    assert docker("inspect", "-f", "{{json .HostConfig.Links}}", "user") == "null"
    assert "the-db" not in docker("exec", "user", "cat", "/etc/hosts")
    assert docker("inspect", "-f", "{{.State.Running}}", "db") == "true"
    assert "has no link the-db" in docker.run("rm", "--link", "user/the-db").stderr
    assert "cannot remove the default link name of the container" in docker.run("rm", "--link", "user").stderr
    docker("stop", "-t", "0", "db")
    done = docker.run("run", "--rm", "--link", "db", "busybox", "true")
    assert "Cannot link to a non running container: /db AS /" in done.stderr
    done = docker.run("create", "--link", "alpha", "busybox", "true")
    assert "Cannot link to /alpha, as it does not belong to the default network" in done.stderr


def test_other_names_are_asked_of_the_servers_that_were_named_but_not_from_an_internal_network(docker: Docker) -> None:
    docker("network", "create", "net")
    docker("network", "create", "--internal", "inner")
    gateway = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "net")
    server = docker.server(gateway)
    asked = docker.shell("nslookup -type=a example.org", "--network", "net", "--dns", gateway)
    assert addresses(asked) == ["192.0.2.1"]
    count = len(server.asked)
    assert count
    assert docker.run(
        "run", "--rm", "--network", "inner", "--dns", gateway, "busybox", "nslookup", "example.org"
    ).returncode
    docker.up("alpha", "--network", "inner")
    assert docker.shell("wget -qO- http://alpha/", "--network", "inner") == "alpha"
    assert len(server.asked) == count


def test_a_container_may_serve_dns_itself(docker: Docker) -> None:
    docker("network", "create", "net")
    docker.up("alpha", "--network", "net")
    serve = "nc -l -p 53 > /got & sleep 0.3; netstat -lnt; "
    ask = "nslookup alpha; echo by-tcp | nc -w 1 127.0.0.1 53; wait; cat /got"
    seen = docker.shell(serve + ask, "--network", "net")
    assert "0.0.0.0:53 " in seen or ":::53 " in seen
    assert address(docker, "alpha") in addresses(seen)
    assert "by-tcp" in seen


def test_names_are_found_while_the_engine_is_dead_and_after(docker: Docker) -> None:
    docker("network", "create", "net")
    docker.up("alpha", "--network", "net")
    script = "while true; do wget -qO- http://alpha/ || echo failed; usleep 20000; done"
    id = docker("run", "-d", "--name", "asker", "--network", "net", "busybox", "sh", "-c", script)
    docker.kill_engine()
    log = docker._where.data / "containers" / id / f"{id}-json.log"
    assert _grows(log, log.stat().st_size)
    docker.engine = Engine(docker._where)
    docker.up("beta", "--network", "net")
    assert docker.shell("wget -qO- http://alpha/; wget -qO- http://beta/", "--network", "net").split() == [
        "alpha",
        "beta",
    ]
    docker("kill", "asker")
    assert "failed" not in docker("logs", "asker")


def _grows(path: Path, size: int) -> bool:
    late = time.monotonic() + 5
    while path.stat().st_size <= size and time.monotonic() < late:
        time.sleep(0.02)
    return path.stat().st_size > size
