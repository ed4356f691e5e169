"""docker exec and wherry exec on a real engine, with and without a terminal, and whatever is killed meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.engine import Engine
from tests.end_to_end.exec_kit import World, until, world

from wherry.testing.ledger import become_subreaper

pytestmark = [pytest.mark.root, pytest.mark.peer]
CLIENTS = ("docker", "wherry")


@pytest.fixture(scope="module")
def engine() -> Iterator[World]:
    become_subreaper()
    with world() as made:
        for name, runtime in (("box", "crun"), ("rbox", "runc")):
            assert (
                made.docker("run", "-d", "--name", name, "--runtime", runtime, "busybox", "sleep", "10000").status == 0
            )
        yield made


@pytest.mark.parametrize("box", ["box", "rbox"])
@pytest.mark.parametrize("client", CLIENTS)
def test_output_and_exit_codes_are_the_programs(engine: World, client: str, box: str) -> None:
    run = engine.client(client)
    done = run("exec", box, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.status, done.out, done.err) == (7, "out\n", "err\n")
    assert run("exec", box, "true").status == 0
    assert run("exec", box, "sh", "-c", "kill -9 $$").status == 137
    assert run("exec", box, "sh", "-c", "kill -15 $$").status == 143


@pytest.mark.parametrize("box", ["box", "rbox"])
@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ((), 127, 'exec: "nosuch": executable file not found in $PATH'),
        (("/nosuch",), 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        (("/etc/passwd",), 126, 'exec: "/etc/passwd": permission denied'),
        (("/etc",), 126, 'exec: "/etc": permission denied'),
        (
            ("-w", "/nosuch", "true"),
            127,
            'chdir to cwd ("/nosuch") set in config.json failed: no such file or directory',
        ),
    ],
)
def test_a_program_that_cannot_begin_has_dockers_text_and_code(
    engine: World, box: str, words: tuple[str, ...], status: int, text: str
) -> None:
    flags, command = words[:-1], words[-1:] or ("nosuch",)
    expected = f"OCI runtime exec failed: exec failed: unable to start container process: {text}: unknown\r\n"
    for client in CLIENTS:
        done = engine.client(client)("exec", *flags, box, *command)
        assert (done.status, done.out.replace("\r\n", "\n"), done.err) == (status, expected.replace("\r\n", "\n"), "")


@pytest.mark.parametrize("client", CLIENTS)
def test_input_goes_through_byte_for_byte_up_to_its_end(engine: World, client: str) -> None:
    data = os.urandom(1 << 20) * 50
    command = [*engine.client(client).command, "exec", "-i", "box", "cat"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=True)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert engine.client(client)("exec", "-i", "box", "sh", "-c", "cat >/dev/null; exit 3", stdin=b"x").status == 3
    assert engine.client(client)("exec", "box", "cat", stdin=b"not passed on").out == ""


@pytest.mark.parametrize("box", ["box", "rbox"])
def test_user_folder_environment_and_privileges(engine: World, box: str) -> None:
    run = engine.docker
    assert run("exec", "-u", "1234:55", box, "id").out == "uid=1234 gid=55 groups=55\n"
    assert run("exec", "-u", "www-data", box, "id", "-un").out == "www-data\n"
    done = run("exec", "-u", "nosuch", box, "true")
    assert (done.status, done.out.strip()) == (126, "unable to find user nosuch: no matching entries in passwd file")
    assert run("exec", "-w", "/etc", box, "pwd").out == "/etc\n"
    found = run("exec", "-e", "A=b c", box, "env").out.split("\n")[:-1]
    (host,) = [line for line in found if line.startswith("HOSTNAME=")]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert sorted(found) == sorted([path, host, "HOME=/root", "A=b c"])
    assert run("exec", "-u", "www-data", box, "sh", "-c", "echo $HOME").out == "/var/www\n"
    plain, privileged = (
        run("exec", *flags, box, "grep", "CapEff", "/proc/self/status").out for flags in ((), ("--privileged",))
    )
    assert plain.split()[1] == "00000000a80425fb"
    assert int(privileged.split()[1], 16) & ~int(plain.split()[1], 16)


@pytest.mark.parametrize("box", ["box", "rbox"])
def test_an_exec_is_where_its_container_is(engine: World, box: str) -> None:
    show = (
        "cat /proc/self/cgroup; cat /proc/self/oom_score_adj; umask; ulimit -n; ls -l /proc/self/ns | sed 's/.*-> //'"
    )
    again = engine.docker("exec", box, "sh", "-c", show).out
    runtime = "crun" if box == "box" else "runc"
    assert "0022" in again.split()
    assert engine.docker("inspect", "-f", "{{.Id}}", box).out.strip() in again
    assert engine.docker("exec", box, "sh", "-c", "ls -l /proc/1/ns | sed 's/.*-> //'").out in again
    first = engine.docker("run", "--rm", "--runtime", runtime, "busybox", "sh", "-c", show).out
    pick = [line for line in first.split("\n") if line.isdecimal()]
    assert pick == [line for line in again.split("\n") if line.isdecimal()]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_terminal_has_a_size_and_learns_of_new_ones(engine: World, client: str) -> None:
    with engine.on_terminal(client, "exec", "-it", "box", "sh") as terminal:
        terminal.until(b"# ")
        terminal.type(b"stty size\r")
        terminal.until(b"30 100")
        terminal.resize(41, 123)
        time.sleep(0.3)
        terminal.type(b"stty size\r")
        terminal.until(b"41 123")
        terminal.type(b"exit 9\r")
        assert terminal.wait() == 9
        assert terminal.restored()
    with engine.on_terminal(client, "exec", "-t", "box", "sh", "-c", "sleep 0.2; stty size; exit 3") as terminal:
        assert (terminal.wait(), terminal.seen.strip()) == (3, b"30 100")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_detach_keys_leave_the_program_running(engine: World, client: str) -> None:
    for flags, keys in (((), b"\x10\x11"), (("--detach-keys", "ctrl-x,q"), b"\x18q")):
        with engine.on_terminal(
            client, "exec", "-it", *flags, "box", "sh", "-c", "echo hi; exec sleep 4321"
        ) as terminal:
            terminal.until(b"hi")
            terminal.type(keys)
            assert terminal.wait() == 1
            assert terminal.seen.endswith(b"read escape sequence\r\n")
            assert terminal.restored()
        (id,) = engine.running("box")
        assert engine.ask("GET", f"/exec/{id}/json")[1]["Running"] is True
        engine.end_all("box")


@pytest.mark.parametrize("client", CLIENTS)
def test_runs_and_attaches_live_on_a_terminal(engine: World, client: str) -> None:
    with engine.on_terminal(client, "run", "-it", "--name", "shell", "busybox", "sh") as terminal:
        terminal.until(b"# ")
        time.sleep(0.5)  # the client begins to listen for new sizes only now
        terminal.resize(41, 123)
        time.sleep(0.3)
        terminal.type(b"stty size\r")
        terminal.until(b"41 123")
        terminal.type(b"\x10\x11")
        assert terminal.wait() == 0
    with engine.on_terminal(client, "attach", "--detach-keys", "ctrl-a,b", "shell") as terminal:
        terminal.until(b"# ")
        terminal.type(b"\x01b")
        assert terminal.wait() == 1
    with engine.on_terminal(client, "attach", "shell") as terminal:
        terminal.until(b"# ")
        terminal.type(b"exit 5\r")
        assert terminal.wait() == 5
        assert terminal.restored()
    assert engine.docker("rm", "shell").status == 0
    done = engine.client(client)("run", "-i", "--rm", "busybox", "sh", "-c", "cat; exit 4", stdin=b"half\n" * 1000)
    assert (done.status, done.out) == (4, "half\n" * 1000)


def test_a_detached_exec_runs_on_its_own_and_is_shown(engine: World) -> None:
    for client in CLIENTS:
        assert engine.client(client)("exec", "-d", "box", "sleep", "0.5").status == 0
    first, second = engine.running("box")
    shown = engine.ask("GET", f"/exec/{first}/json")[1]
    assert (shown["Running"], shown["ExitCode"], shown["OpenStdout"]) == (True, None, False)
    assert Path(f"/proc/{shown['Pid']}/cmdline").read_bytes().startswith(b"sleep\0")
    assert [engine.code(id) for id in (first, second)] == [0, 0]
    assert engine.ask("GET", "/containers/box/json")[1]["ExecIDs"] is None
    shown = engine.ask("GET", f"/exec/{first}/json")[1]
    assert (shown["Running"], shown["ExitCode"], shown["CanRemove"]) == (False, 0, True)
    for status, text in ((engine.ask("POST", f"/exec/{first}/start", {"Detach": True})),):
        assert (status, text["message"]) == (409, f"error: Exec command {first} has already run")


def test_output_after_the_client_has_left_does_not_stop_the_program(engine: World) -> None:
    with engine.docker.start(
        "exec", "box", "sh", "-c", "echo hi; sleep 0.2; yes | head -c 3000000; exec sleep 4322"
    ) as left:
        assert left.stdout is not None
        assert left.stdout.readline() == b"hi\n"
        left.kill()
    until(lambda: "sleep 4322" in engine.docker("exec", "box", "ps").out)
    engine.end_all("box")


def test_events_tell_of_an_exec(engine: World) -> None:
    begun = str(time.time())
    engine.docker("exec", "box", "sh", "-c", "exit 5")
    wanted = ("--since", begun, "--until", str(time.time() + 0.2), "--filter", "container=box", "--format")
    actions = engine.docker("events", *wanted, "{{.Action}}").out.split("\n")[:-1]
    assert actions == ["exec_create: sh -c exit 5", "exec_start: sh -c exit 5", "exec_die"]
    more = engine.docker("events", *wanted, "{{json .Actor.Attributes}}", "--filter", "event=exec_die").out
    assert '"exitCode":"5"' in more
    assert '"execID":"' in more


def test_execs_end_with_their_container_and_none_begins_without(engine: World) -> None:
    engine.docker("run", "-d", "--name", "short", "busybox", "sleep", "10000")
    (never,) = [engine.ask("POST", "/containers/short/exec", {"Cmd": ["true"]})[1]["Id"]]
    with engine.docker.start("exec", "short", "sleep", "10000") as client:
        until(lambda: len(engine.running("short")) == 2)
        (running,) = [id for id in engine.running("short") if id != never]
        until(lambda: engine.ask("GET", f"/exec/{running}/json")[1]["Pid"])
        assert engine.docker("kill", "short").status == 0
        assert client.wait(10) == 137
    assert engine.code(running) == 137
    until(lambda: engine.ask("GET", f"/exec/{never}/json")[0] == 404)
    full = engine.docker("inspect", "-f", "{{.Id}}", "short").out.strip()
    done = engine.docker("exec", "short", "true")
    assert (done.status, done.err) == (1, f"Error response from daemon: container {full} is not running\n")
    assert engine.docker("start", "short").status == 0
    assert engine.docker("exec", "short", "true").status == 0
    assert engine.docker("rm", "-f", "short").status == 0
    assert engine.ask("GET", f"/exec/{running}/json")[0] == 404
    done = engine.docker("exec", "short", "true")
    assert (done.status, done.err) == (1, "Error response from daemon: No such container: short\n")


def test_a_hundred_execs_leave_descriptors_threads_and_processes_as_before(engine: World) -> None:
    def state() -> dict[str, tuple[int, int]]:
        pids = engine.processes()
        return {n: (len(os.listdir(f"/proc/{p}/fd")), len(os.listdir(f"/proc/{p}/task"))) for n, p in pids.items()}

    def some(count: int) -> None:
        for number in range(count):
            flags = (("-i",), ("-t",), ("-d",), ())[number % 4]
            engine.docker("exec", *flags, "box", *(("nosuch",) if number % 10 == 9 else ("true",)))
        time.sleep(2.5)  # output that is still open is given up by then

    some(12)
    before, inside = state(), engine.docker("exec", "box", "ps").out.count("\n")
    some(100)
    after = state()
    assert before.keys() == after.keys() == {"wherryd", "supervisor", "monitor"}
    for name in ("supervisor", "monitor"):
        assert after[name] == before[name]
    assert after["wherryd"][0] <= before["wherryd"][0] + 2
    assert after["wherryd"][1] <= before["wherryd"][1] + 2  # threads of pools that had not been full yet
    assert engine.docker("exec", "box", "ps").out.count("\n") == inside
    assert os.listdir(engine.where.run / "work") == []


@pytest.mark.parametrize("killed", ["monitor", "supervisor"])
def test_codes_and_output_are_exact_while_a_small_process_is_killed(engine: World, killed: str) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); [ $((i % 100)) = 0 ] && sleep 0.02; done; exit 6"
    with engine.docker.start("exec", "-i", "box", "sh", "-c", script) as client:
        for _ in range(3):
            time.sleep(0.1)
            os.kill(engine.processes()[killed], signal.SIGKILL)
        out, _ = client.communicate(timeout=30)
    assert client.returncode == 6
    assert out == b"".join(b"%d\n" % number for number in range(2000))


def test_a_new_engine_knows_what_runs_and_how_it_ends(engine: World) -> None:
    id = engine.detached("box", "sh", "-c", "trap 'exit 8' TERM; while :; do sleep 0.05; done")
    pid = engine.ask("GET", f"/exec/{id}/json")[1]["Pid"]
    with engine.docker.start("exec", "-i", "box", "cat") as client:
        until(lambda: len(engine.running("box")) == 2)
        engine.engine.kill()
        client.wait(10)
    engine.engine = Engine(engine.where)
    shown = engine.ask("GET", f"/exec/{id}/json")[1]
    assert (shown["Running"], shown["Pid"], shown["ProcessConfig"]["entrypoint"]) == (True, pid, "sh")
    os.kill(pid, signal.SIGTERM)
    assert engine.code(id) == 8
    until(lambda: not engine.running("box"))  # cat has lost its pipes
    assert engine.docker("exec", "box", "true").status == 0
