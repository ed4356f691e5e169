"""`wherry stats` as it goes on: what comes and goes is followed, a terminal is written over, an engine's end is told."""

from __future__ import annotations

import json
import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cli.client import Client
from tests.cli.fake_daemon import FakeDaemon, Reply, Request
from tests.cli.fake_data import CONTAINERS, container, ident, sample
from tests.cli.pty_client import OnTerminal

FORMAT = "{{.Name}} {{.PIDs}}"


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


class Streams:
    """The engine's open streams: samples by container, and events. None ends one."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self.queues: dict[str, queue.Queue[Any]] = {}
        daemon.on("GET", "/containers/[^/]+/stats", lambda r: self._stream(r.path.split("/")[2]))
        daemon.on("GET", "/events", lambda r: self._stream("events"))
        daemon.on("GET", "/containers/(box-1|web)/json", lambda r: Reply(200, {"Id": r.path}))
        daemon.on("GET", "/containers/json", [container("1"), container("2")])

    def _stream(self, name: str) -> Iterator[bytes]:
        waiting = self.queues.setdefault(name, queue.Queue())
        if name != "events":
            yield line(sample(name, name=f"/c-{name[:1]}"))
        while (value := waiting.get(timeout=30)) is not None:
            yield line(value)

    def send(self, name: str, value: Any) -> None:
        self.queues.setdefault(name, queue.Queue()).put(value)

    def event(self, action: str, id: str) -> None:
        self.send("events", {"Type": "container", "Action": action, "Actor": {"ID": id, "Attributes": {}}})


@pytest.fixture
def streams(daemon: FakeDaemon) -> Iterator[Streams]:
    made = Streams(daemon)
    yield made
    for each in made.queues.values():
        each.put(None)


def lines(running: subprocess.Popen[bytes]) -> Callable[[], str]:
    """What gives the next line that a command has written."""
    assert running.stdout is not None
    out = running.stdout
    return lambda: out.readline().decode()


def read_until(read: Callable[[], str], wanted: str) -> None:
    end = time.monotonic() + 15
    while (found := read()) != wanted:
        assert found, "the command has ended"
        assert time.monotonic() < end, f"{wanted!r} was never shown"


def read_until_gone(read: Callable[[], str]) -> None:
    """Until a table does not begin with c-7 any more, which is the newest and so the first."""
    read_until(read, "c-2 0\n")
    while read().startswith("c-7"):
        read_until(read, "c-2 0\n")


def test_what_comes_and_goes_is_followed(wherry: Client, streams: Streams) -> None:
    running = wherry.start("stats", "--format", FORMAT)
    next_line = lines(running)
    try:
        read_until(next_line, "c-1 0\n")
        read_until(next_line, "c-2 0\n")
        streams.event("start", ident("7"))
        read_until(next_line, "c-7 0\n")
        streams.send(ident("7"), sample(ident("7"), name="/c-7", pids_stats={"current": 5}))
        read_until(next_line, "c-7 5\n")
        streams.event("die", ident("7"))
        read_until_gone(next_line)
    finally:
        running.kill()
        running.communicate()


def test_with_all_a_container_stays_until_it_is_removed(wherry: Client, streams: Streams, daemon: FakeDaemon) -> None:
    running = wherry.start("stats", "-a", "--format", FORMAT)
    next_line = lines(running)
    try:
        read_until(next_line, "c-1 0\n")
        streams.event("create", ident("7"))
        read_until(next_line, "c-7 0\n")
        streams.event("die", ident("7"))
        for _ in range(6):
            next_line()
        assert "c-7 0\n" in {next_line() for _ in range(3)}
        streams.event("destroy", ident("7"))
        read_until_gone(next_line)
        assert daemon.last("GET", "/containers/json").query == {"all": "1"}
    finally:
        running.kill()
        running.communicate()


def test_it_ends_with_the_last_container_that_was_named(wherry: Client, streams: Streams) -> None:
    running = wherry.start("stats", "--format", FORMAT, "box-1", "web")
    assert running.stdout is not None
    out = running.stdout
    assert [out.readline(), out.readline()] == [b"c-b 12\n", b"c-w 12\n"]
    streams.send("box-1", None)
    read_until(lambda: out.readline().decode(), "c-w 12\n")
    streams.send("web", None)
    rest, said = running.communicate(timeout=15)
    assert (running.returncode, said) == (0, b"")
    assert set(rest.splitlines()) <= {b"c-b 12", b"c-w 12"}


@pytest.mark.parametrize("words", [[], ["box-1"]])
def test_the_end_of_the_engine_is_an_error(
    wherry: Client, streams: Streams, daemon: FakeDaemon, words: list[str]
) -> None:
    running = wherry.start("stats", "--format", FORMAT, *words)
    assert running.stdout is not None
    assert running.stdout.readline().startswith(b"c-")
    daemon.hang_up()
    _, said = running.communicate(timeout=15)
    assert running.returncode == 1
    assert b"closed the connection in the middle of an answer" in said


def test_a_terminal_is_written_over_and_left_by_ctrl_c(wherry: Client, streams: Streams) -> None:
    with OnTerminal([*wherry.command, "stats", "box-1"], wherry.environment(None)) as shown:
        shown.until(b"\x1b[J\x1b[HCONTAINER ID")
        assert shown.seen.startswith(b"\x1b[HCONTAINER ID")
        assert b"PIDS\x1b[K\r\n" in shown.seen
        shown.type(b"\x03")
        assert shown.wait() == 130


def test_a_terminal_shows_as_many_lines_as_it_has(wherry: Client, streams: Streams, daemon: FakeDaemon) -> None:
    daemon.on("GET", "/containers/json", [container(digit) for digit in "123456789"])
    with OnTerminal([*wherry.command, "stats"], wherry.environment(None), lines=4) as shown:
        shown.until(b"\x1b[J\x1b[H")
        assert shown.seen.partition(b"\x1b[J")[0].count(b"\n") == 3


def test_a_container_that_goes_while_it_is_asked_is_left_out(wherry: Client, daemon: FakeDaemon) -> None:
    def answer(request: Request) -> Reply:
        id = request.path.split("/")[2]
        return Reply(404, {"message": f"No such container: {id}"}) if id == ident("2") else Reply(200, sample(id))

    daemon.on("GET", "/containers/[^/]+/stats", answer)
    ran = wherry("stats", "--no-stream", "--format", "{{.ID}}")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.split() == [each["Id"][:12] for each in CONTAINERS if each["Id"] != ident("2")]


def test_a_format_that_cannot_be_understood_asks_the_engine_nothing(wherry: Client, daemon: FakeDaemon) -> None:
    assert "failed to parse template" in wherry("stats", "--format", "{{.ID").err
    assert daemon.requests == []
