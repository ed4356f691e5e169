"""What no client should send: refused in exact words, and without harm to those who send better."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fire.bad_input import Client, ask_dockerd, table
from tests.fire.daemon import Fire, eventually, on_fire

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]

IDLE = 1000  # connections that say nothing
PING = b"GET /_ping HTTP/1.1\r\nHost: engine\r\n\r\n"


@pytest.fixture(scope="module")
def fire() -> Iterator[Fire]:
    """One engine for all of it, which must be up at the end and leave the host as it was."""
    ledger = HostLedger()
    with on_fire(lambda _: ("prlimit", f"--nofile={IDLE}:{2 * IDLE}")) as found:
        yield found
    assert ledger.settled() == []


def test_every_request_is_answered_as_the_table_says(fire: Fire) -> None:
    rows = table()
    answers = Client(fire.where.socket).send_all(rows)
    wrong = {row.name: (answers[row.name], row.answer) for row in rows if answers[row.name] != row.answer}
    assert not wrong
    assert fire.api("GET", "/_ping") == "OK"


@pytest.mark.peer
def test_dockerd_answers_as_the_table_says(host_ledger: HostLedger, tmp_path: Path) -> None:
    rows = table()
    answers = ask_dockerd(tmp_path / "answers")
    wrong = {row.name: (answers[row.name], row.dockerd) for row in rows if answers[row.name] != row.dockerd}
    assert not wrong


def test_the_table_gives_a_reason_for_each_difference() -> None:
    assert [row.name for row in table() if (row.answer != row.dockerd) != bool(row.why)] == []


# --- connections ---


def test_idle_connections_keep_nobody_from_being_answered(fire: Fire) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * IDLE), hard))
    try:
        before = _descriptors(fire)
        with contextlib.ExitStack() as stack:
            for _ in range(IDLE):
                stack.enter_context(_connect(fire))
            assert fire.api("GET", "/_ping") == "OK"
            assert _descriptors(fire) > IDLE
        eventually(lambda: _descriptors(fire) <= before + 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_heads_keep_nobody_from_being_answered(fire: Fire) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(_connect(fire)) for _ in range(50)]
        for at in range(len(PING)):
            for client in slow:
                client.sendall(PING[at : at + 1])
            assert fire.api("GET", "/_ping") == "OK"
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in slow)


def test_pipelined_requests_are_answered_in_their_order(fire: Fire) -> None:
    with _connect(fire) as client:
        wanted = [b"/_ping", b"/nosuch", b"/_ping", b"/v9.99/info", b"/_ping"]
        client.sendall(b"".join(PING.replace(b"/_ping", path) for path in wanted))
        seen = b""
        while seen.count(b"HTTP/1.1 ") < len(wanted) or not seen.endswith(b"OK"):
            data = client.recv(65536)
            assert data, seen
            seen += data
    assert [part[:3] for part in seen.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200", b"400", b"200"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(
            b"GET /_ping HTTP/1.1\r\nHost: e\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", b"400", id="enormous-header"
        ),
        pytest.param(b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: e\r\n\r\n", b"400", id="enormous-path"),
        pytest.param(b"GET /_ping HTTP/1.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n", b"400", id="headers-without-number"),
        pytest.param(b"nonsense\r\n\r\n", b"400", id="no-http"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400", id="tls-without-tls"),
        pytest.param(b"GET /_ping HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400", id="negative-length"),
        pytest.param(
            b"GET /_ping HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", b"400", id="two-lengths"
        ),
    ],
)
def test_what_is_no_request_is_refused(fire: Fire, sent: bytes, status: bytes) -> None:
    with _connect(fire) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(sent)
        seen = client.recv(65536)
    assert seen[9:12] == status, seen
    assert b"malformed request" in seen
    assert fire.api("GET", "/_ping") == "OK"


def _connect(fire: Fire) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(fire.where.socket))
    return client


def _descriptors(fire: Fire) -> int:
    return len(os.listdir(f"/proc/{fire.engine.pid}/fd"))
