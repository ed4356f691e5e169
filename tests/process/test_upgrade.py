"""An engine of another version gives supervisor and monitor its own code in place, and nothing that runs notices."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from tests.process.exec_kit import Execs
from tests.process.process_kit import NO_LOG, Scenario, Tree, attach, read_all, unframed
from tests.process.upgrade_kit import change, copied, upgraded, versions

from wherry.linux import sockets
from wherry.model.networks import PortMapping
from wherry_engine.engine.process_upgrade import sources, tree_code
from wherry_engine.monitor.protocol import FORMAT, VERSION

pytestmark = pytest.mark.root
COUNT = "trap 'exit {status}' TERM; i=1; while :; do echo {before}$i; i=$((i+1)); usleep 10000; done"


def numbers(tree: Tree, id: str) -> list[int]:
    """The numbers that a counting container has logged."""
    return [int(record["log"].strip()) for record in tree.records(id) if record["log"].endswith("\n")]


def pss(pid: int) -> int:
    """The memory of a process, in kilobytes."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


async def pids(tree: Tree) -> tuple[int, int]:
    """Of supervisor and monitor."""
    status = await tree.status()
    return status["pid"], status["monitor"]


def test_five_upgrades_under_load_lose_and_double_nothing(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        for number in range(8):
            await tree.run(f"slow{number}", COUNT.format(status=number, before=""))
        await tree.run("pty", COUNT.format(status=8, before=""), tty=True)
        await tree.run("fast", "seq 1 600000; exit 9")
        execs = Execs(tree)
        running = await execs.start("slow0", "read line; echo $line; exit 10")
        await tree.processes.reserve_ports("one", [PortMapping("tcp", "127.0.0.1", 47131, 80)])
        before = await pids(tree)
        open_files = [len(os.listdir(f"/proc/{pid}/fd")) for pid in before]
        memory: list[int] = []
        for number in range(5):
            await asyncio.sleep(0.1)
            await upgraded(tree, copied(tmp_path / f"code{number}", f"version {number}"))
            assert await versions(tree) == (f"version {number}",) * 2
            memory.append(sum(pss(pid) for pid in before))
        assert await pids(tree) == before
        assert memory[-1] < memory[0] * 1.3
        await tree.processes.list()
        os.write(running.stdin, b"still here\n")
        assert await execs.status(running) == 10
        assert running.output() == b"still here\n"
        running.close()
        assert list(await tree.processes.ports()) == ["one"]
        await tree.processes.release_ports("one")
        assert (await tree.ended("fast", 60)).status == 9
        assert tree.log("fast").read_bytes().count(b"\n") == 600_000
        assert numbers(tree, "fast") == list(range(1, 600_001))
        for number, id in enumerate([*(f"slow{number}" for number in range(8)), "pty"]):
            await tree.processes.kill(id, signal.SIGTERM)
            assert (await tree.ended(id)).status == number
            assert (lines := numbers(tree, id)) == list(range(1, len(lines) + 1))
        assert [len(os.listdir(f"/proc/{pid}/fd")) for pid in before] <= open_files

    scenario(body)


def test_those_attached_stay_attached_and_input_goes_on(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        script = "echo -n part; while read line; do echo got $line; done; echo end; exit 6"
        for id, options in {"pipe": {"stdin_once": True}, "pty": {"tty": True}}.items():
            await tree.processes.create(tree.launch(id, script, stdin=True, **options))
            with await attach(tree, id, stdin=True) as sock:
                await tree.processes.start(id)
                sock.settimeout(20)
                seen = await received(sock, b"part")
                for number in range(3):
                    await upgraded(tree, copied(tmp_path / f"{id}{number}", f"{id} {number}"))
                    sock.sendall(b"%d\n" % number)
                    seen += await received(sock, b"got %d" % number)
                with await attach(tree, id) as second:
                    second.settimeout(20)
                    if id == "pty":
                        sock.sendall(b"\4")
                    else:
                        sock.shutdown(socket.SHUT_WR)
                    seen += await received(sock, b"end")
                    assert b"end" in await received(second, b"end")
            assert seen.count(b"part") == 1
            assert (await tree.ended(id)).status == 6
            assert tree.text(id).replace("\r", "").endswith("got 2\nend\n")

    scenario(body)


def test_what_a_slow_peer_has_not_taken_is_kept_for_it(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("much", "while read line; do seq 1 200000; done; exit 3", stdin=True, stdin_once=True)
        with await attach(tree, "much", stdin=True) as sock:
            sock.sendall(b"go\n")
            sock.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0.2)
            await upgraded(tree, copied(tmp_path / "first", "first"))
            await upgraded(tree, copied(tmp_path / "second", "second"))
            output = b"".join(text for _, text in unframed(await read_all(sock)))
            assert output == b"".join(b"%d\n" % number for number in range(1, 200_001))
        assert (await tree.ended("much")).status == 3
        assert numbers(tree, "much") == list(range(1, 200_001))

    scenario(body)


def test_input_that_its_container_has_not_read_is_kept(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("late", "usleep 1500000; cat; exit 2", stdin=True, stdin_once=True, log=NO_LOG)
        sent = b"".join(b"%d\n" % number for number in range(40_000))
        with await attach(tree, "late", stdin=True) as sock:
            writing = asyncio.ensure_future(asyncio.to_thread(say, sock, sent))
            await upgraded(tree, copied(tmp_path / "first", "first"))
            await upgraded(tree, copied(tmp_path / "second", "second"))
            await writing
            assert b"".join(text for _, text in unframed(await read_all(sock))) == sent
        assert (await tree.ended("late")).status == 2

    scenario(body)


def test_exits_during_an_upgrade_are_exact(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        for number in range(30):
            await tree.run(f"c{number}", f"sleep 0.{number:02}; usleep 300000; exit {number}")
        code = [copied(tmp_path / f"code{number}", f"code {number}") for number in range(3)]
        for each in code:
            await upgraded(tree, each)
        assert [(await tree.ended(f"c{number}")).status for number in range(30)] == list(range(30))

    scenario(body)


def test_requests_meanwhile_are_answered(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        code = [copied(tmp_path / f"code{number}", f"code {number}") for number in range(4)]

        async def lives() -> None:
            for number in range(25):
                await tree.run(f"c{number}", f"echo once; exit {number}")
                assert (await tree.ended(f"c{number}")).status == number
                assert tree.text(f"c{number}") == "once\n"
                await tree.processes.delete(f"c{number}", tree.runtime)

        async def commands() -> None:
            execs = Execs(tree)
            for number in range(25):
                started = await execs.start("host", f"echo once; exit {number}")
                assert await execs.status(started) == number
                assert started.output() == b"once\n"
                started.close()

        await tree.run("host", ["/bin/sleep", "1000"])
        running = asyncio.gather(lives(), commands())
        for each in code:
            await upgraded(tree, each)
            assert await versions(tree) == (each.digest,) * 2
        await running

    scenario(body)


def test_services_go_on_below_the_new_supervisor(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        site = tmp_path / "site"
        site.mkdir()
        (site / "sleeper.py").write_text("import time\ndef main(arguments): time.sleep(3600)\n")
        asked: dict[str, Any] = {
            "name": "some",
            "function": "sleeper:main",
            "path": [str(site)],
            "arguments": [],
            "code": [],
        }
        await tree.processes._supervisor.call("service", **asked)
        before = (await tree.status())["services"]
        for number in range(2):
            await upgraded(tree, copied(tmp_path / f"code{number}", f"code {number}"))
            assert (await tree.status())["services"] == before
        await tree.kill_monitor()
        assert (await tree.status())["services"] == before
        os.kill(before["some"], signal.SIGKILL)
        while (await tree.status())["services"] in ({}, before):
            await asyncio.sleep(0.01)

    scenario(body)


def test_a_job_at_work_goes_on(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        (tmp_path / "layer").mkdir()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        read, write = os.pipe()
        given = {"root": str(tmp_path / "layer"), "whiteouts": "delete"}
        extracting = asyncio.ensure_future(tree.processes.job("extract_layer", given, [read]))
        await asyncio.sleep(0.1)
        os.close(read)
        await upgraded(tree, copied(tmp_path / "new", "new"))
        await tree.kill_monitor()
        os.write(write, archive.getvalue())
        os.close(write)
        assert cast(dict[str, object], await extracting)["entries"] == 1
        assert os.listdir(tmp_path / "layer") == ["empty"]

    scenario(body)


def test_the_next_processes_after_an_upgrade_run_the_new_code(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("slow", COUNT.format(status=4, before=""))
        new = copied(tmp_path / "new", "new")
        await upgraded(tree, new)
        shutil.rmtree(tmp_path / "new")  # what runs needs nothing of it any more
        await tree.kill_monitor()
        assert await versions(tree) == ("new", "new")
        await tree.kill_supervisor()
        assert await versions(tree) == ("new", "new")
        assert await tree.processes.job("ensure_bind", {"path": "/", "create": False}) == {"kind": "dir"}
        await upgraded(tree, tree_code())  # the folder of the running code has gone
        assert await versions(tree) == (tree_code().digest,) * 2
        await tree.processes.kill("slow", signal.SIGTERM)
        assert (await tree.ended("slow")).status == 4
        assert (lines := numbers(tree, "slow")) == list(range(1, len(lines) + 1))

    scenario(body)


@pytest.mark.parametrize(
    ("module", "old", "new", "reason"),
    [
        (
            "wherry_engine/monitor/main.py",
            "PATIENCE =",
            "raise ImportError('it is broken')\nPATIENCE =",
            "it is broken",
        ),
        ("wherry_engine/monitor/protocol.py", f"\nFORMAT = {FORMAT}", "\nFORMAT = 77", "format"),
        ("wherry_engine/monitor/passing.py", '("operation", ', '("operation", "novelty", ', "lacks novelty"),
        ("wherry_engine/supervisor/main.py", "    root, *rest", "    os.kill(os.getpid(), 9)\n    root, *rest", "137"),
    ],
)
def test_code_that_fails_its_check_is_refused(
    module: str,
    old: str,
    new: str,
    reason: str,
    scenario: Scenario,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("one", "cat; exit 3", stdin=True)
        before = await pids(tree)
        with await attach(tree, "one", stdin=True) as sock:
            code = copied(tmp_path / "new", "new")
            change(tmp_path / "new", module, old, new)
            await upgraded(tree, code)
            sock.settimeout(20)
            sock.sendall(b"hello\n")
            assert b"hello" in await received(sock, b"hello")
        assert await versions(tree) == (tree_code().digest,) * 2
        assert await pids(tree) == before
        assert "the supervisor goes on with the code of an earlier engine" in caplog.text
        assert reason in caplog.text
        await upgraded(tree, copied(tmp_path / "mended", "mended"))
        assert await versions(tree) == ("mended", "mended")
        await tree.processes.close_stdin("one")
        assert (await tree.ended("one")).status == 3

    scenario(body)


def test_a_monitor_that_refuses_goes_on_below_the_new_supervisor(
    scenario: Scenario, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("one", "cat; exit 3", stdin=True)
        code = copied(tmp_path / "new", "new")
        check = "    if passed.role not in (SUPERVISOR, MONITOR)"
        change(tmp_path / "new", "wherry_engine/monitor/passing.py", check, "    if passed.role != SUPERVISOR")
        await upgraded(tree, code)
        assert await versions(tree) == ("new", tree_code().digest)
        assert "the monitor goes on with the code of an earlier engine" in caplog.text
        await tree.processes.close_stdin("one")
        assert (await tree.ended("one")).status == 3
        await tree.kill_monitor()
        assert await versions(tree) == ("new", "new")

    scenario(body)


def test_a_monitor_whose_runtime_hangs_is_upgraded_later(
    scenario: Scenario, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(tree: Tree) -> None:
        slow = tmp_path / "crun"
        slow.write_text(
            f'#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\nexec {tree.runtime.argv[0]} "$@"\n'
        )
        slow.chmod(0o755)
        launch = tree.launch("one", "exit 4", runtime=attrs.evolve(tree.runtime, argv=(str(slow),)))
        creation = asyncio.ensure_future(tree.processes.create(launch))
        await asyncio.sleep(0.1)
        code = copied(tmp_path / "new", "new")
        await upgraded(tree, code)
        assert await versions(tree) == ("new", tree_code().digest)
        assert "a runtime is at work" in caplog.text
        (tmp_path / "go").touch()
        await creation
        await upgraded(tree, code)
        assert await versions(tree) == ("new", "new")
        await tree.processes.start("one")
        assert (await tree.ended("one")).status == 4

    scenario(body)


def test_a_monitor_of_another_protocol_is_replaced(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("slow", COUNT.format(status=4, before=""))
        before = await pids(tree)
        code = copied(tmp_path / "new", "new")
        version = f"VERSION = {VERSION}\n"
        change(tmp_path / "new", "wherry_engine/monitor/protocol.py", version, "VERSION = 99\n")
        await upgraded(tree, code)
        hello = await hello_of(tree)
        assert (hello["version"], hello["code"]) == (99, "new")
        assert hello["pid"] != before[1]
        await upgraded(tree, tree_code())
        await tree.processes.kill("slow", signal.SIGTERM)
        assert (await tree.ended("slow")).status == 4
        assert (lines := numbers(tree, "slow")) == list(range(1, len(lines) + 1))

    scenario(body)


def test_the_version_is_of_every_source_that_the_processes_run() -> None:
    *interpreter, script = tree_code().program
    shown = (
        script[: script.rindex(";")] + "; print(*(m.__file__ for m in sys.modules.values() if 'wherry' in m.__name__))"
    )
    done = subprocess.run([*interpreter, shown], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) > 40
    assert {Path(path) for path in done.stdout.split()} <= {path for _, path in sources()}


def test_an_engine_of_the_same_code_upgrades_nothing(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        before = [Path(f"/proc/{pid}/stat").read_text().split()[21] for pid in await pids(tree)]
        text = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in await pids(tree)]
        await upgraded(tree, tree_code())
        assert [Path(f"/proc/{pid}/stat").read_text().split()[21] for pid in await pids(tree)] == before
        assert [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in await pids(tree)] == text

    scenario(body)


def test_killed_at_any_moment_of_an_upgrade(scenario: Scenario, tmp_path: Path) -> None:
    async def body(tree: Tree) -> None:
        await tree.run("slow", COUNT.format(status=5, before=""))
        for number in range(12):
            code = copied(tmp_path / f"code{number}", f"code {number}")
            status = await tree.status()
            upgrading = asyncio.ensure_future(upgraded(tree, code))
            await asyncio.sleep(number * 0.02)
            os.kill(status["pid" if number % 2 else "monitor"], signal.SIGKILL)
            await upgrading
            await tree.processes.list()
        await upgraded(tree, tree_code())
        assert await versions(tree) == (tree_code().digest,) * 2
        await tree.processes.kill("slow", signal.SIGTERM)
        assert (await tree.ended("slow")).status == 5
        assert (lines := numbers(tree, "slow")) == list(range(1, len(lines) + 1))

    scenario(body)


async def hello_of(tree: Tree) -> dict[str, Any]:
    """What a monitor of any protocol says."""
    with sockets.connect(str(tree.run_root / "monitor.sock")) as sock:
        sock.settimeout(20)
        sockets.send(sock, {"op": "hello", "number": 1})
        message, _ = await asyncio.to_thread(sockets.receive, sock)
        value: dict[str, Any] = message["value"]
        return value


def say(sock: socket.socket, text: bytes) -> None:
    """All that there is to say."""
    sock.sendall(text)
    sock.shutdown(socket.SHUT_WR)


async def received(sock: socket.socket, text: bytes) -> bytes:
    """What arrives, up to and with this text."""
    data = b""
    while text not in data:
        block = await asyncio.to_thread(sock.recv, 65536)
        assert block, data
        data += block
    return data
