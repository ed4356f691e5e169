"""TCP with mutual TLS, as docker and wherry use it: who gets in, and streams whose input ends before their output."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scripts import images
from scripts.engine import ROOT, Engine, free_port, workplace

from wherry.testing.ledger import Ledger

CLIENTS = {"docker": "docker", "wherry": str(ROOT / ".venv/bin/wherry")}
DATA = os.urandom(1 << 20) * 8


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path, authority: Path | None = None) -> Path:
    """A folder with ca.pem, cert.pem and key.pem; signed by its own authority, or by that of another folder."""
    folder.mkdir()
    ca = authority or folder
    if authority is None:
        subject = ["-subj", "/CN=authority", "-days", "2"]
        openssl(
            folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, "-keyout", "ca-key.pem", "-out", "ca.pem"
        )
    else:
        (folder / "ca.pem").write_bytes((ca / "ca.pem").read_bytes())
    openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "key.pem", "-out", "request.pem"
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signing = ["-CA", str(ca / "ca.pem"), "-CAkey", str(ca / "ca-key.pem"), "-CAcreateserial", "-days", "2"]
    openssl(folder, "x509", "-req", "-in", "request.pem", *signing, "-extfile", "names", "-out", "cert.pem")
    return folder


def call(client: str, host: str, folder: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "DOCKER_CERT_PATH": str(folder), "DOCKER_TLS_VERIFY": "1"}
    command = [CLIENTS[client], "-H", host, *words]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=60)


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """An engine that serves TCP to the clients of this folder's authority; gives its tcp:// address."""
    host = f"tcp://127.0.0.1:{free_port(23760)}"
    files = [f"--tls{name}={folder}/{file}.pem" for name, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))]
    with workplace() as where:
        daemon = Engine(where, arguments=("-H", host, "--tlsverify", *files))
        try:
            yield host
            daemon.stop()
        finally:
            daemon.discard()


@pytest.mark.root
@pytest.mark.peer
def test_a_client_needs_a_certificate_and_a_stream_outlives_its_input(tmp_path: Path, host_ledger: Ledger) -> None:
    server = certificates(tmp_path / "server")
    client = certificates(tmp_path / "client", server)
    stranger = certificates(tmp_path / "stranger")
    (stranger / "ca.pem").write_bytes((server / "ca.pem").read_bytes())  # it trusts the engine, not the other way round
    with engine(server) as host:
        for name in CLIENTS:
            refused = call(name, host, stranger, "version")
            assert refused.returncode == 1
            assert b"tls" in refused.stderr.lower(), refused.stderr
        assert call("docker", host, client, "load", stdin=images.busybox().read_bytes()).returncode == 0
        for name in CLIENTS:
            done = call(name, host, client, "run", "--rm", "-i", "busybox", "cat", stdin=DATA)
            assert (done.returncode, done.stderr) == (0, b"")
            assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(DATA).digest()
            late = call(
                name,
                host,
                client,
                "run",
                "--rm",
                "-i",
                "busybox",
                "sh",
                "-c",
                "wc -c; sleep 0.5; exit 7",
                stdin=b"12345",
            )
            assert (late.returncode, late.stdout) == (7, b"5\n"), late.stderr


@pytest.mark.root
def test_tcp_without_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    with (
        workplace() as where,
        pytest.raises(RuntimeError, match="set tlsverify, or allow it explicitly by insecure-tcp"),
    ):
        Engine(where, arguments=("-H", "tcp://127.0.0.1:0"))
    with workplace() as where, pytest.raises(RuntimeError, match="TLS cannot be served"):
        Engine(where, arguments=("-H", "tcp://127.0.0.1:0", "--tlsverify", f"--tlscacert={tmp_path}/nosuch.pem"))
