"""run, start and attach with the container's streams connected."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from tests.cli.client import Client
from tests.cli.fake_container import FakeContainer, read_all, says, types
from tests.cli.fake_daemon import FakeDaemon, Reply, Request, frame
from tests.cli.fake_data import ident
from tests.cli.pty_client import OnTerminal


def test_a_run_shows_both_streams_and_has_the_containers_exit_status(daemon: FakeDaemon, wherry: Client) -> None:
    FakeContainer(daemon, says((1, b"out\n"), (2, b"err\n"), status=7))
    ran = wherry("run", "busybox")
    assert (ran.status, ran.out, ran.err) == (7, "out\n", "err\n")


def test_a_run_attaches_and_waits_before_it_starts(daemon: FakeDaemon, wherry: Client) -> None:
    container = FakeContainer(daemon, says())
    wherry("run", "--rm", "busybox")
    path = f"POST /containers/{container.id}"
    assert daemon.paths() == ["POST /containers/create", f"{path}/attach", f"{path}/wait", f"{path}/start"]
    assert daemon.requests[1].query == {"stream": "1", "stdout": "1", "stderr": "1"}
    assert daemon.requests[2].query == {"condition": "removed"}
    assert daemon.requests[0].json["HostConfig"]["AutoRemove"] is True


def test_stdin_reaches_the_container_and_its_end_too(daemon: FakeDaemon, wherry: Client) -> None:
    def cat(container: FakeContainer, peer: socket.socket) -> int:
        peer.sendall(frame(1, read_all(peer)))
        return 0

    FakeContainer(daemon, cat)
    text = b"line\n" * 100_000
    ran = wherry("run", "-i", "busybox", "cat", stdin=text)
    assert (ran.status, ran.out.encode() == text) == (0, True)
    body = daemon.requests[0].json
    assert (body["OpenStdin"], body["StdinOnce"], body["AttachStdin"]) == (True, True, True)


def test_output_is_read_while_input_is_stuck(daemon: FakeDaemon, wherry: Client) -> None:
    def deaf(container: FakeContainer, peer: socket.socket) -> int:
        for _ in range(200):
            peer.sendall(frame(1, b"x" * 16384))
        return 0

    FakeContainer(daemon, deaf)
    ran = wherry("run", "-i", "busybox", stdin=b"y" * 4_000_000)
    assert (ran.status, len(ran.out)) == (0, 200 * 16384)


def test_a_detached_run_prints_the_id_at_once(daemon: FakeDaemon, wherry: Client) -> None:
    container = FakeContainer(daemon, says())
    ran = wherry("run", "-d", "busybox")
    assert (ran.status, ran.out) == (0, container.id + "\n")
    assert daemon.paths() == ["POST /containers/create", f"POST /containers/{container.id}/start"]
    assert "AttachStdout" not in daemon.requests[0].json


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ("stat /x: no such file or directory", 127),
        ("exec: /etc: permission denied", 126),
        ("exec: /etc: is a directory", 126),
        ("the disk is full", 125),
    ],
)
def test_a_failed_start_has_the_exit_status_of_its_reason(
    daemon: FakeDaemon, wherry: Client, text: str, status: int
) -> None:
    container = FakeContainer(daemon, says())
    daemon.on("POST", f"/containers/{container.id}/start", Reply(500, {"message": text}))
    for flags in (["-d"], []):
        ran = wherry("run", *flags, "busybox")
        assert ran.status == status
        assert (
            ran.err == f"wherry: Error response from daemon: {text}\n\nRun 'wherry run --help' for more information\n"
        )
    container.started.set()
    container.exited.set()


def test_a_missing_image_is_pulled_once(daemon: FakeDaemon, wherry: Client) -> None:
    pulled: list[Request] = []

    def create(request: Request) -> Reply:
        return Reply(201, {"Id": ident("1")}) if pulled else Reply(404, {"message": "No such image: me/app:latest"})

    def pull(request: Request) -> Reply:
        pulled.append(request)
        return Reply(200, b'{"status":"Pulling from me/app","id":"latest"}\n{"status":"Done"}\n')

    daemon.on("POST", "/containers/create", create)
    daemon.on("POST", "/images/create", pull)
    ran = wherry("create", "me/app")
    assert (ran.status, ran.out) == (0, ident("1") + "\n")
    assert ran.err == "Unable to find image 'me/app:latest' locally\nlatest: Pulling from me/app\nDone\n"
    assert pulled[0].query == {"fromImage": "docker.io/me/app", "tag": "latest"}


def test_an_image_that_nobody_has_ends_in_125(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/containers/create", Reply(404, {"message": "No such image: nosuch:latest"}))
    daemon.on("POST", "/images/create", Reply(404, {"message": "pull access denied for nosuch"}))
    ran = wherry("run", "nosuch")
    assert ran.status == 125
    assert ran.err == (
        "Unable to find image 'nosuch:latest' locally\nwherry: Error response from daemon: pull access denied for nosuch\n\n"
        "Run 'wherry run --help' for more information\n"
    )
    assert wherry("run", "--pull", "never", "nosuch").err.startswith(
        "wherry: Error response from daemon: No such image"
    )


def test_warnings_and_the_id_file_come_with_a_create(daemon: FakeDaemon, wherry: Client, tmp_path: Path) -> None:
    daemon.on("POST", "/containers/create", Reply(201, {"Id": ident("1"), "Warnings": ["no swap here"]}))
    file = tmp_path / "id"
    ran = wherry("create", "--cidfile", str(file), "busybox")
    assert (ran.status, ran.err, file.read_text()) == (0, "WARNING: no swap here\n", ident("1"))
    ran = wherry("run", "--cidfile", str(file), "busybox")
    assert (ran.status, "container ID file found" in ran.err) == (125, True)


def test_signals_are_passed_on(daemon: FakeDaemon, wherry: Client) -> None:
    def sleep(container: FakeContainer, peer: socket.socket) -> int:
        peer.sendall(frame(1, b"ready\n"))
        container.signalled.wait(10)
        return 143

    container = FakeContainer(daemon, sleep)
    with wherry.start("run", "busybox") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    assert container.signals == ["TERM"]


def test_without_sig_proxy_a_signal_ends_the_client(daemon: FakeDaemon, wherry: Client) -> None:
    def wait(container: FakeContainer, peer: socket.socket) -> int:
        peer.sendall(frame(1, b"ready\n"))
        read_all(peer)
        return 0

    container = FakeContainer(daemon, wait)
    with wherry.start("run", "--sig-proxy=false", "busybox") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert container.signals == []


def test_the_third_interrupt_ends_the_client(daemon: FakeDaemon, wherry: Client) -> None:
    def stubborn(container: FakeContainer, peer: socket.socket) -> int:
        peer.sendall(frame(1, b"ready\n"))
        read_all(peer)
        return 0

    container = FakeContainer(daemon, stubborn)
    with wherry.start("run", "busybox") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for count in range(3):
            process.send_signal(signal.SIGINT)
            _until(lambda count=count: len(container.signals) > min(count, 1))
        assert process.wait(10) == 1
        assert process.stderr is not None
        assert b"forcefully exiting" in process.stderr.read()


def _until(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_terminal_for_the_container_needs_one_here(daemon: FakeDaemon, wherry: Client) -> None:
    ran = wherry("run", "-it", "busybox")
    assert (ran.status, ran.err, daemon.requests) == (1, "the input device is not a TTY\n", [])


def shell(container: FakeContainer, peer: socket.socket) -> int:
    """Prompts, answers to x, ends at exit or when the client goes."""
    peer.sendall(b"$ ")
    types(b"x", peer)
    peer.sendall(b"got\r\n")
    rest = b""
    while b"exit" not in rest:
        piece = peer.recv(100)
        if not piece:
            return 0
        rest += piece
    return 5


def on_terminal(wherry: Client, *words: str) -> OnTerminal:
    return OnTerminal([*wherry.command, *words], wherry.environment(None))


def test_an_interactive_run_lives_on_the_terminal(daemon: FakeDaemon, wherry: Client) -> None:
    container = FakeContainer(daemon, shell, tty=True)
    with on_terminal(wherry, "run", "-it", "busybox") as terminal:
        terminal.until(b"$ ")
        assert not terminal.restored()
        terminal.type(b"x")
        terminal.until(b"got\r\n")
        terminal.resize(40, 120)
        _until(lambda: ("40", "120") in container.sizes)
        terminal.type(b"exit")
        assert terminal.wait() == 5
        assert terminal.restored()
    assert container.sizes[0] == ("30", "100")
    body = daemon.requests[0].json
    assert (body["Tty"], body["HostConfig"]["ConsoleSize"]) == (True, [30, 100])
    assert container.signals == []


@pytest.mark.parametrize(
    ("words", "keys", "status", "text"),
    [
        (["run", "-it", "busybox"], b"\x10\x10\x11", 0, b""),
        (["run", "-it", "--detach-keys", "ctrl-x,q", "busybox"], b"\x18q", 0, b""),
        (["start", "-ai", "box"], b"\x10\x11", 0, b""),
        (["attach", "box"], b"\x10\x11", 1, b"read escape sequence\r\n"),
        (["attach", "--detach-keys", "a,b", "box"], b"ab", 1, b"read escape sequence\r\n"),
    ],
)
def test_the_detach_keys_leave_the_container_running(
    daemon: FakeDaemon, wherry: Client, words: list[str], keys: bytes, status: int, text: bytes
) -> None:
    container = FakeContainer(daemon, shell, tty=True, running=words[0] == "attach")
    with on_terminal(wherry, *words) as terminal:
        terminal.until(b"$ ")
        terminal.type(b"x")
        terminal.until(b"got\r\n")
        terminal.type(keys)
        assert terminal.wait() == status
        assert terminal.seen == b"$ got\r\n" + text
        assert terminal.restored()
    assert f"POST /containers/{container.id}/kill" not in daemon.paths()


def test_interrupts_typed_on_a_terminal_are_keys(daemon: FakeDaemon, wherry: Client) -> None:
    def interrupted(container: FakeContainer, peer: socket.socket) -> int:
        peer.sendall(b"$ ")
        types(b"\x03", peer)
        return 130

    container = FakeContainer(daemon, interrupted, tty=True)
    with on_terminal(wherry, "run", "-it", "busybox") as terminal:
        terminal.until(b"$ ")
        terminal.type(b"\x03")
        assert terminal.wait() == 130
    assert container.signals == []


def test_what_was_typed_ahead_is_not_lost(daemon: FakeDaemon, wherry: Client) -> None:
    def listens(container: FakeContainer, peer: socket.socket) -> int:
        types(b"early", peer)
        return 6

    FakeContainer(daemon, listens, tty=True)
    with on_terminal(wherry, "run", "-it", "busybox") as terminal:
        terminal.type(b"early\n")
        assert terminal.wait() == 6


def test_start_attached_has_the_exit_status(daemon: FakeDaemon, wherry: Client) -> None:
    FakeContainer(daemon, says((1, b"hi\n"), status=3))
    ran = wherry("start", "-a", "box")
    assert (ran.status, ran.out) == (3, "hi\n")
    ran = wherry("start", "-a", "box", "box")
    assert (ran.status, ran.err) == (1, "you cannot start and attach multiple containers at once\n")


def test_start_names_what_did_not_start(daemon: FakeDaemon, wherry: Client) -> None:
    FakeContainer(daemon, says())
    ran = wherry("start", "box", "nosuch")
    assert (ran.status, ran.out) == (1, "box\n")
    assert ran.err.endswith("Error: failed to start containers: nosuch\n")


def test_attach_needs_a_running_container(daemon: FakeDaemon, wherry: Client) -> None:
    FakeContainer(daemon, says())
    ran = wherry("attach", "box")
    assert (ran.status, ran.err) == (1, "You cannot attach to a stopped container, start it first\n")


def test_attach_follows_to_the_end(daemon: FakeDaemon, wherry: Client) -> None:
    FakeContainer(daemon, says((1, b"late\n"), status=4), running=True, stdin=False)
    ran = wherry("attach", "--no-stdin", "box")
    assert (ran.status, ran.out) == (4, "late\n")


def test_an_engine_that_dies_beside_a_run_is_told(daemon: FakeDaemon, wherry: Client) -> None:
    def dies(container: FakeContainer, peer: socket.socket) -> int:
        time.sleep(0.2)  # until the answer to the start is out
        daemon.hang_up()
        return 0

    FakeContainer(daemon, dies)
    ran = wherry("run", "busybox")
    assert ran.status == 125
    assert ran.err.startswith("error waiting for container: ")


def test_a_reader_of_the_output_that_goes_away_is_no_traceback(daemon: FakeDaemon, wherry: Client) -> None:
    def chatty(container: FakeContainer, peer: socket.socket) -> int:
        try:
            for _ in range(1000):
                peer.sendall(frame(1, b"y\n" * 8192))
        except OSError:
            pass
        return 0

    FakeContainer(daemon, chatty)
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*wherry.command, "run", "busybox"], stdout=writer, stderr=subprocess.PIPE, env=wherry.environment(None)
    )
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    assert process.stderr is not None
    assert (process.wait(10), process.stderr.read()) == (141, b"")
    process.stderr.close()
