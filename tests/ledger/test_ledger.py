"""The ledger is worth something only if it finds what is left behind: one planted leak of each kind is named."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from wherry.testing.fixtures import HostLedger
from wherry.testing.ledger import Ledger, become_subreaper, reap_orphans
from wherry.testing.tasks import descendants

pytestmark = pytest.mark.root


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def planted(make: list[str], unmake: list[str]) -> Iterator[None]:
    """A leak that a command makes and another removes."""
    run(*make)
    try:
        yield
    finally:
        run(*unmake)


def named_by(leak: str, lines: list[str]) -> list[str]:
    return [line for line in lines if leak in line]


def test_nothing_done_is_no_difference(tmp_path: Path) -> None:
    before = Ledger.take([tmp_path])
    assert not named_by(str(tmp_path), before.differences(Ledger.take([tmp_path])))


def test_a_mount_is_named(tmp_path: Path) -> None:
    before = Ledger.take()
    with planted(["mount", "-t", "tmpfs", "ledger-test", str(tmp_path)], ["umount", str(tmp_path)]):
        assert f"mount left behind: {tmp_path} (tmpfs from ledger-test)" in before.differences(Ledger.take())
    assert not named_by(str(tmp_path), before.differences(Ledger.take()))


def test_a_second_mount_on_the_same_place_is_named(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            before = Ledger.take()
            mount = ["mount", "-t", "tmpfs", "ledger-test", str(tmp_path)]
            stack.enter_context(planted(mount, ["umount", str(tmp_path)]))
        assert f"mount left behind: {tmp_path} (tmpfs from ledger-test) (#2)" in before.differences(Ledger.take())


def test_a_link_is_named() -> None:
    before = Ledger.take()
    with planted(["ip", "link", "add", "ledgertest0", "type", "bridge"], ["ip", "link", "del", "ledgertest0"]):
        assert "link left behind: ledgertest0 (of the host)" in before.differences(Ledger.take())


def test_a_network_namespace_and_a_link_in_it_are_named() -> None:
    before = Ledger.take()
    with planted(["ip", "netns", "add", "ledgertest"], ["ip", "netns", "del", "ledgertest"]):
        run("ip", "-n", "ledgertest", "link", "add", "inner0", "type", "bridge")
        lines = before.differences(Ledger.take())
    assert "network namespace left behind: /run/netns/ledgertest" in lines
    assert "link left behind: inner0 (in /run/netns/ledgertest)" in lines


def test_an_nft_element_is_named() -> None:
    with planted(["nft", "add table ip ledgertest"], ["nft", "delete table ip ledgertest"]):
        run("nft", "add set ip ledgertest ports { type inet_service; }")
        before = Ledger.take()
        run("nft", "add element ip ledgertest ports { 8080 }")
        lines = before.differences(Ledger.take())
    assert "nft object left behind: element 8080 of set ports in table ip ledgertest" in lines


def test_a_chain_and_a_rule_are_named_and_counters_do_not_matter() -> None:
    with planted(["nft", "add table ip ledgertest"], ["nft", "delete table ip ledgertest"]):
        before = Ledger.take()
        run("nft", "add chain ip ledgertest out { type filter hook output priority 10 ; }")
        run("nft", "add rule ip ledgertest out counter")
        counted = Ledger.take()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", 9))
        assert not named_by("ledgertest", counted.differences(Ledger.take()))
        lines = before.differences(counted)
    assert "nft object left behind: chain out in table ip ledgertest" in lines
    assert named_by("rule of chain out in table ip ledgertest", lines)


def test_a_cgroup_is_named() -> None:
    before = Ledger.take()
    hierarchy = next(iter(key for key in before.kinds["cgroup"]))
    folder = Path(hierarchy, "ledgertest")
    folder.mkdir()
    try:
        assert f"cgroup left behind: {folder}" in before.differences(Ledger.take())
    finally:
        folder.rmdir()


def test_an_empty_cgroup_that_was_removed_is_named_and_one_whose_process_ended_is_not() -> None:
    hierarchy = next(iter(Ledger.take().kinds["cgroup"]))
    empty, used = Path(hierarchy, "ledgerempty"), Path(hierarchy, "ledgerused")
    empty.mkdir()
    used.mkdir()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (used / "cgroup.procs").write_text(str(sleeper.pid))
        before = Ledger.take()
    finally:
        sleeper.kill()
        sleeper.wait()
        empty.rmdir()
        used.rmdir()
    lines = before.differences(Ledger.take())
    assert f"cgroup gone: {empty}" in lines
    assert f"cgroup gone: {used}" not in lines


def test_an_orphaned_process_is_named() -> None:
    become_subreaper()
    before = Ledger.take()
    script = "import subprocess as s; print(s.Popen(['sleep', '1234'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    orphan = int(done.stdout)
    try:
        lines = before.differences(Ledger.take())
        assert any(f"process left behind: {orphan} sleep" in line for line in lines), lines
    finally:
        os.kill(orphan, signal.SIGKILL)
        os.waitpid(orphan, 0)


def test_orphans_that_ended_are_reaped() -> None:
    become_subreaper()
    script = "import os; child = os.fork(); child and print(child)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    os.waitid(os.P_PID, int(done.stdout), os.WEXITED | os.WNOWAIT)  # it is our child and has ended
    reap_orphans()
    assert int(done.stdout) not in {process.pid for process in descendants(os.getpid())}


def test_a_descriptor_is_named(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    before = Ledger.take(pids=[os.getpid()])
    with opened.open("w"):
        lines = before.differences(Ledger.take(pids=[os.getpid()]))
    assert any(f"descriptor left open: {opened} of process {os.getpid()}" in line for line in lines), lines


def test_a_file_is_named(tmp_path: Path) -> None:
    before = Ledger.take([tmp_path])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "forgotten").write_text("")
    lines = before.differences(Ledger.take([tmp_path]))
    assert f"file left behind: {tmp_path}/folder/forgotten" in lines


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE containers (id TEXT PRIMARY KEY, state TEXT)")
    connection.execute("INSERT INTO containers VALUES ('a', 'created')")
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("INSERT INTO containers VALUES ('b', 'new')", "database row left behind: containers: id='b', ('b', 'new')"),
        ("DELETE FROM containers", "row gone: containers: id='a', ('a', 'created')"),
        (
            "UPDATE containers SET state = 'running'",
            "row changed: containers: id='a': ('a', 'created') became ('a', 'running')",
        ),
    ],
)
def test_a_row_is_named(database: Path, statement: str, line: str) -> None:
    before = Ledger.take(databases=[database])
    connection = sqlite3.connect(database)
    connection.execute(statement)
    connection.commit()
    connection.close()
    assert line in before.differences(Ledger.take(databases=[database]))


def bound(kind: socket.SocketKind, listening: bool) -> socket.socket:
    held = socket.socket(socket.AF_INET, kind)
    held.bind(("127.0.0.1", 0))
    if listening:
        held.listen()
    return held


@pytest.mark.parametrize(
    ("make", "protocol"),
    [
        (lambda: bound(socket.SOCK_STREAM, True), "tcp"),
        (lambda: bound(socket.SOCK_STREAM, False), "tcp"),
        (lambda: bound(socket.SOCK_DGRAM, False), "udp"),
    ],
    ids=["listening", "held without listening", "udp"],
)
def test_a_bound_port_is_named(make: Callable[[], socket.socket], protocol: str) -> None:
    before = Ledger.take()
    with make() as held:
        port = held.getsockname()[1]
        assert f"port still bound: {protocol} 127.0.0.1:{port}" in before.differences(Ledger.take())


def test_the_fixture_waits_for_what_ends_by_itself(host_ledger: HostLedger) -> None:
    # The process outlives the test's body; the fixture takes it for no leak, since it ends within the patience.
    subprocess.run([sys.executable, "-c", "import subprocess; subprocess.Popen(['sleep', '0.3'])"], check=True)
    assert named_by("sleep", host_ledger.differences())


def test_the_fixture_watches_what_the_test_names(host_ledger: HostLedger, tmp_path: Path) -> None:
    host_ledger.watch(roots=[tmp_path])
    left = tmp_path / "left"
    left.write_text("")
    assert f"file left behind: {left}" in host_ledger.settled(patience=0)
    left.unlink()
