"""Docker's contexts: made, listed and used by its client, and used by wherry too."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.engine import Engine, free_port, workplace
from tests.end_to_end.test_tls import CLIENTS, certificates

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.peer]
ENGINE = ("version", "--format", "{{.Server.Platform.Name}}")


class Lab:
    """An engine at a unix socket and at tcp with TLS, and clients with a DOCKER_CONFIG folder of their own."""

    def __init__(self, folder: Path, unix: str, tcp: str) -> None:
        self.folder, self.unix, self.tcp = folder, unix, tcp

    def call(self, client: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command; no variable names an engine but those given."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "WHERRY_"))}
        kept["DOCKER_CONFIG"] = str(self.folder / "config")
        command = [CLIENTS[client], *words]
        return subprocess.run(command, capture_output=True, text=True, env=kept | environment, timeout=60)

    def text(self, client: str, *words: str, **environment: str) -> str:
        """What a command that works prints."""
        done = self.call(client, *words, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fails(self, client: str, *words: str, **environment: str) -> str:
        """What a command that must fail says."""
        done = self.call(client, *words, **environment)
        assert done.returncode != 0, done.stdout
        return done.stderr


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder, ledger = tmp_path_factory.mktemp("contexts"), HostLedger()
    own = certificates(folder / "own")
    files = [f"--tls{name}={own}/{file}.pem" for name, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))]
    tcp = f"tcp://127.0.0.1:{free_port(23780)}"
    with workplace() as where:
        engine = Engine(where, arguments=("-H", tcp, "--tlsverify", *files))
        try:
            made = Lab(folder, where.host, tcp)
            ends = f"ca={own}/ca.pem,cert={own}/cert.pem,key={own}/key.pem"
            made.text("docker", "context", "create", "near", "--description", "here", "--docker", f"host={where.host}")
            made.text("docker", "context", "create", "far", "--docker", f"host={tcp},{ends}")
            made.text("docker", "context", "create", "bare", "--docker", f"host={tcp}")
            yield made
            engine.stop()
        finally:
            engine.discard()
    if lines := ledger.settled():
        pytest.fail("the engine left the host changed:\n  " + "\n  ".join(lines), pytrace=False)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["near", "far"])
def test_both_clients_reach_the_engine_by_a_context(lab: Lab, client: str, name: str) -> None:
    assert lab.text(client, "--context", name, *ENGINE) == "Wherry"
    assert lab.text(client, *ENGINE, DOCKER_CONTEXT=name) == "Wherry"
    assert lab.text(client, "--context", name, "ps", "-q") == ""


def test_docker_lists_inspects_and_uses_contexts_of_this_engine(lab: Lab) -> None:
    listed = lab.text("docker", "context", "ls", "--format", "{{.Name}} {{.DockerEndpoint}} {{.Description}}")
    assert {f"near {lab.unix} here", f"far {lab.tcp}"} <= set(map(str.strip, listed.splitlines()))
    (far,) = json.loads(lab.text("docker", "context", "inspect", "far"))
    assert far["TLSMaterial"] == {"docker": ["ca.pem", "cert.pem", "key.pem"]}
    lab.text("docker", "context", "use", "near")
    assert lab.text("docker", "context", "show") == "near"
    assert lab.text("docker", *ENGINE) == "Wherry"
    lab.text("docker", "context", "use", "default")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_context_without_certificates_is_not_let_in(lab: Lab, client: str) -> None:
    lab.fails(client, "--context", "bare", "ps")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_context_that_is_not_there_is_named(lab: Lab, client: str) -> None:
    assert 'context "nosuch": context not found' in lab.fails(client, "--context", "nosuch", "ps")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_order_of_what_names_an_engine_is_dockers(lab: Lab, client: str) -> None:
    conflict = lab.fails(client, "--context", "near", "-H", "unix:///nowhere", "ps")
    assert "conflicting options: cannot specify both --host and --context" in conflict
    assert lab.text(client, "--context", "near", *ENGINE, DOCKER_HOST="unix:///nowhere") == "Wherry"
    assert "/nowhere" in lab.fails(client, "ps", DOCKER_HOST="unix:///nowhere", DOCKER_CONTEXT="near")
    assert lab.text(client, "--context", "default", *ENGINE, DOCKER_HOST=lab.unix) == "Wherry"
