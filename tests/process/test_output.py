"""What containers say and hear: logs, rotation, terminals, those attached."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket

import pytest
from tests.process.process_kit import NO_LOG, SPURTS, Scenario, Tree, attach, read_all, unframed, until

from wherry.errors import Invalid
from wherry.model.logs import LocalLog

pytestmark = pytest.mark.root


def test_the_log_has_a_record_for_every_line(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        log = LocalLog(format="json-file", attributes={"team": "blue"})
        await tree.run("talks", 'echo one; echo "tw\\"o\t" >&2; echo -n three', log=log)
        await tree.ended("talks")
        records = tree.records("talks")
        assert [(r["stream"], r["log"]) for r in records if r["stream"] == "stdout"] == [
            ("stdout", "one\n"),
            ("stdout", "three"),
        ]
        assert [r["log"] for r in records if r["stream"] == "stderr"] == ['tw"o\t\n']
        assert list(records[0]) == ["log", "stream", "attrs", "time"]

    scenario(body)


def test_no_log_is_written_where_none_is_wanted(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.create(tree.launch("silent", "seq 1 200000; exit 3", log=NO_LOG))
        with await attach(tree, "silent") as sock:
            await tree.processes.start("silent")
            assert len(b"".join(text for _, text in unframed(await read_all(sock)))) == 1288895
        assert (await tree.ended("silent")).status == 3
        assert not tree.log("silent").exists()

    scenario(body)


def test_a_log_that_cannot_be_written_does_not_stop_the_container(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        tree.log("full").symlink_to("/dev/full")
        await tree.run("full", "seq 1 200000; exit 4")
        assert (await tree.ended("full")).status == 4

    scenario(body)


def test_logs_are_rotated_and_compressed(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        log = LocalLog(format="json-file", max_size=100_000, max_files=3, compress=True)
        await tree.run("long", SPURTS, log=log)
        await tree.ended("long")
        path = tree.log("long")
        older = [path.with_name(f"{path.name}.{n}.gz") for n in (2, 1)]
        await until(lambda: all(file.exists() for file in older) and not path.with_name(f"{path.name}.1").exists())
        files = [gzip.decompress(file.read_bytes()) for file in older] + [path.read_bytes()]
        assert len(list(path.parent.glob("long.log*"))) == 3
        lines = [int(json.loads(line)["log"]) for data in files for line in data.splitlines()]
        expected = [n for _ in range(20) for n in range(1, 1001)]
        assert lines == expected[-len(lines) :]
        assert all(100_000 <= len(data) < 100_200 for data in files[:-1])

    scenario(body)


def test_one_log_file_is_begun_anew_when_it_is_full(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("long", "seq 1 5000", log=LocalLog(format="json-file", max_size=50_000, max_files=1))
        await tree.ended("long")
        lines = [int(line) for line in tree.text("long").split()]
        assert lines == list(range(lines[0], 5001))
        assert list(tree.root.glob("long.log*")) == [tree.log("long")]
        assert tree.log("long").stat().st_size < 50_200

    scenario(body)


def test_a_long_line_is_logged_in_parts_of_16_kib(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("wide", "dd if=/dev/zero bs=40000 count=1 2>/dev/null | tr '\\0' x; echo; echo short")
        await tree.ended("wide")
        sizes = [len(record["log"]) for record in tree.records("wide")]
        assert sizes == [16384, 16384, 40000 - 2 * 16384 + 1, 6]

    scenario(body)


def test_a_terminal_has_a_size_and_one_stream(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        script = "stty size; echo to stderr >&2; read line; stty size; echo got $line"
        await tree.processes.create(tree.launch("tty", script, tty=True, stdin=True, console_size=(30, 100)))
        with await attach(tree, "tty", stdin=True) as sock:
            await tree.processes.start("tty")
            await until(lambda: "stderr" in tree.text("tty"))
            await tree.processes.resize("tty", 40, 120)
            sock.sendall(b"hello\n")
            seen = await read_all(sock)
        await tree.ended("tty")
        assert seen.split(b"\r\n") == [b"30 100", b"to stderr", b"hello", b"40 120", b"got hello", b""]
        assert tree.text("tty").encode() == seen
        assert {record["stream"] for record in tree.records("tty")} == {"stdout"}
        await tree.run("plain", ["/bin/sleep", "60"])
        with pytest.raises(Invalid):
            await tree.processes.resize("plain", 1, 1)

    scenario(body)


def test_those_attached_get_the_streams_they_want(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.create(tree.launch("both", "echo out; echo err >&2"))
        with await attach(tree, "both") as all, await attach(tree, "both", stdout=False) as errors:
            await tree.processes.start("both")
            assert sorted(unframed(await read_all(all))) == [(1, b"out\n"), (2, b"err\n")]
            assert unframed(await read_all(errors)) == [(2, b"err\n")]
        await tree.ended("both")
        with await attach(tree, "both") as late:
            assert await read_all(late) == b""

    scenario(body)


def test_a_slow_reader_stops_the_container_and_one_that_has_gone_does_not(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.create(tree.launch("much", "seq 1 400000; exit 6"))
        with await attach(tree, "much") as sock:
            await tree.processes.start("much")
            await asyncio.sleep(0.5)
            assert "much" not in tree.exits
            assert sock.recv(8)
        assert (await tree.ended("much")).status == 6
        assert tree.text("much").split() == [str(n) for n in range(1, 400_001)]

    scenario(body)


def test_input_is_ended_by_an_explicit_word_after_all_that_was_said(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        said = b"".join(b"%d\n" % n for n in range(100_000))
        await tree.processes.create(tree.launch("cat", "cat; exit 5", stdin=True, log=NO_LOG))
        with await attach(tree, "cat", stdin=True) as sock:
            await tree.processes.start("cat")

            async def say() -> None:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(sock, said)
                await tree.processes.close_stdin("cat")

            _, heard = await asyncio.gather(say(), read_all(sock))
        assert b"".join(text for _, text in unframed(heard)) == said
        assert (await tree.ended("cat")).status == 5

    scenario(body)


def test_a_peer_that_vanishes_ends_the_input_only_where_it_is_the_one_there_may_be(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("open", "cat; exit 5", stdin=True)
        await tree.run("once", "cat; exit 6", stdin=True, stdin_once=True)
        for id in ("open", "once"):
            with await attach(tree, id, stdin=True) as sock:
                sock.sendall(b"hello\n")
        assert (await tree.ended("once")).status == 6
        assert tree.text("once") == "hello\n"
        assert "open" not in tree.exits
        await tree.processes.close_stdin("open")
        assert (await tree.ended("open")).status == 5
        assert tree.text("open") == "hello\n"

    scenario(body)


def test_a_half_closed_attach_still_hears_the_end(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        await tree.processes.create(tree.launch("once", "cat; echo over", stdin=True, stdin_once=True))
        with await attach(tree, "once", stdin=True) as sock:
            await tree.processes.start("once")
            sock.sendall(b"hello\n")
            sock.shutdown(socket.SHUT_WR)
            assert unframed(await read_all(sock)) == [(1, b"hello\nover\n")]

    scenario(body)
