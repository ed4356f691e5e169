"""The everyday commands on containers, typed into Docker's client and into ours."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Iterator

import aiohttp
import pytest
from tests.end_to_end.command_kit import CLIENTS, ID, Shell, clear
from tests.end_to_end.exec_kit import World, until, world

from wherry.testing.ledger import become_subreaper

pytestmark = [pytest.mark.root, pytest.mark.peer]
SLOW = "slow"
DEAF = "trap : TERM; while :; do sleep 0.1; done"  # to what asks it to end
TRAPS = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done'


@pytest.fixture(scope="module")
def engine() -> Iterator[World]:
    become_subreaper()
    with world() as made:
        yield made


@pytest.fixture(scope="module")
def stopping(engine: World) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A stop without a time, which takes long, and when it began."""
    run = engine.docker
    assert run("run", "-d", "--name", SLOW, "busybox", "sh", "-c", f"echo ready; {DEAF}").status == 0
    until(lambda: run("logs", SLOW).out == "ready\n")
    with run.start("stop", SLOW) as process:
        yield process, time.monotonic()
        process.kill()


@pytest.fixture
def docker(engine: World, stopping: tuple[subprocess.Popen[bytes], float]) -> Iterator[Shell]:
    """Docker's client, for what the engine alone decides."""
    yield Shell(engine.docker)
    clear(engine, SLOW)


@pytest.fixture(params=CLIENTS)
def shell(
    request: pytest.FixtureRequest, engine: World, stopping: tuple[subprocess.Popen[bytes], float]
) -> Iterator[Shell]:
    yield Shell(engine.client(request.param))
    clear(engine, SLOW)


def ready(shell: Shell, name: str) -> None:
    """Wait until the container has said so."""
    until(lambda: shell(f"logs {name}") == "ready\n")


# --- run, start, stop, restart, kill ---


def test_a_detached_run_prints_the_whole_id_and_the_container_runs(shell: Shell) -> None:
    printed = shell("run -d --name web busybox sleep 1000")
    assert ID.fullmatch(printed)
    assert (shell.inspect("web")["Id"], shell.state("web")["Status"]) == (printed.strip(), "running")


def test_start_prints_the_name_and_is_content_with_what_runs(shell: Shell) -> None:
    assert ID.fullmatch(shell("create --name web busybox sleep 1000"))
    assert shell.state("web")["Status"] == "created"
    for _ in range(2):
        assert shell("start web") == "web\n"
        assert shell.state("web")["Status"] == "running"
    ran = shell.try_("start web nosuch")
    assert (ran.status, ran.out) == (1, "web\n")
    assert (
        ran.err == "Error response from daemon: No such container: nosuch\nError: failed to start containers: nosuch\n"
    )


def test_an_attached_start_shows_the_output_of_its_own_run_and_has_its_exit_code(shell: Shell) -> None:
    shell("create --name web -i busybox sh -c 'cat; echo err >&2; exit 3'")
    for _ in range(3):  # the second while the end of the first may still be being recorded
        ran = shell.try_("start -ai web", b"text\n")
        assert (ran.status, ran.out, ran.err) == (3, "text\n", "err\n")


def test_stop_asks_and_kills_what_has_not_ended_in_time(shell: Shell) -> None:
    shell(f"run -d --name polite busybox sh -c '{TRAPS}'")
    shell(f"run -d --name deaf busybox sh -c 'echo ready; {DEAF}'")
    ready(shell, "polite")
    ready(shell, "deaf")
    assert shell("stop polite") == "polite\n"
    assert (shell.state("polite")["Status"], shell.state("polite")["ExitCode"]) == ("exited", 7)
    begun = time.monotonic()
    assert shell("stop -t 1 deaf") == "deaf\n"
    assert time.monotonic() - begun >= 1
    assert shell.state("deaf")["ExitCode"] == 137
    assert shell("stop deaf") == "deaf\n"
    assert shell.fails("stop nosuch") == "No such container: nosuch"


def test_stop_sends_the_signal_that_is_wanted(docker: Shell) -> None:
    command = 'sh -c \'trap "exit 5" USR1; trap "exit 6" INT; echo ready; while :; do sleep 0.1; done\''
    docker(f"run -d --name one --stop-signal SIGUSR1 busybox {command}")
    docker(f"run -d --name two --stop-signal USR1 --stop-timeout 60 busybox {command}")
    ready(docker, "one")
    ready(docker, "two")
    docker("stop one")
    docker("stop -s INT two")
    assert [docker.state(name)["ExitCode"] for name in ("one", "two")] == [5, 6]
    assert docker.fails("run --stop-signal NOSUCH busybox true", 125) == "invalid signal: NOSUCH"


def test_restart_ends_it_and_starts_it_again(docker: Shell) -> None:
    docker(f"run -d --name web busybox sh -c '{TRAPS}'")
    ready(docker, "web")
    before = docker.inspect("web")
    assert docker("restart web") == "web\n"
    after = docker.inspect("web")
    assert (after["Id"], after["State"]["Running"], after["RestartCount"]) == (before["Id"], True, 0)
    assert after["State"]["StartedAt"] > before["State"]["StartedAt"]
    docker("stop -t 0 web")
    assert docker("restart -t 0 web") == "web\n"
    assert docker.state("web")["Running"]
    assert docker.fails("restart nosuch") == "No such container: nosuch"


def test_kill_ends_it_at_once_or_sends_the_signal_that_is_named(docker: Shell) -> None:
    docker(f"run -d --name web busybox sh -c '{TRAPS}'")
    ready(docker, "web")
    assert docker("kill -s TERM web") == "web\n"
    assert docker("wait web") == "7\n"
    id = docker.inspect("web")["Id"]
    assert docker.fails("kill web") == f"cannot kill container: web: container {id} is not running"
    assert docker.fails("kill nosuch") == "cannot kill container: nosuch: No such container: nosuch"
    docker("start web")
    assert docker.fails("kill -s NOSUCH web") == "invalid signal: NOSUCH"
    assert docker("kill web") == "web\n"
    assert docker.state("web")["ExitCode"] == 137
    assert "Exited (137)" in docker("ps -a -f name=web")


def test_wait_prints_the_exit_code_of_each(docker: Shell) -> None:
    docker("run -d --name one busybox sh -c 'sleep 0.2; exit 3'")
    docker("run -d --name two busybox true")
    assert docker("wait one two") == "3\n0\n"
    assert docker("wait one") == "3\n"


# --- pause, rm, rename, update ---


def test_a_paused_container_shows_it_until_it_goes_on(docker: Shell) -> None:
    docker("run -d --name web busybox sleep 1000")
    assert docker("pause web") == "web\n"
    assert re.search(r"Up .* \(Paused\)", docker("ps -f name=web"))
    assert (docker.state("web")["Status"], docker.state("web")["Paused"]) == ("paused", True)
    assert docker.fails("exec web true") == "Container web is paused, unpause the container before exec"
    assert docker("unpause web") == "web\n"
    assert (docker.state("web")["Status"], docker.state("web")["Paused"]) == ("running", False)
    assert "is not paused" in docker.fails("unpause web")


def test_rm_is_refused_while_it_runs_and_forced_at_will(docker: Shell) -> None:
    docker("run -d --name web -v /data -v kept:/kept busybox sleep 1000")
    assert docker.fails("rm web") == (
        'cannot remove container "/web": container is running: stop the container before removing or force remove'
    )
    assert len(docker("volume ls -q").split()) == 2
    assert docker("rm -fv web") == "web\n"
    assert docker("volume ls -q") == "kept\n"
    assert docker.fails("rm web") == "No such container: web"
    assert docker.try_("rm -f web").status == 0


def test_a_new_name_counts_from_now_on(docker: Shell) -> None:
    docker("create --name one busybox")
    assert docker("rename one two") == ""
    assert docker("ps -a -f name=^/two$ --format '{{.Names}}'") == "two\n"
    assert docker.fails("inspect one") == "Error: No such object: one"


def test_limits_and_policy_change_while_it_runs(docker: Shell) -> None:
    docker("run -d --name web -m 64m busybox sleep 1000")
    assert docker("update -m 128m --memory-swap 256m --restart always web") == "web\n"
    host = docker.inspect("web")["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["RestartPolicy"]["Name"]) == (128 << 20, 256 << 20, "always")
    assert docker.fails("update web") == "you must provide one or more flags when using this command"


# --- ps ---


def test_ps_shows_what_runs_and_with_all_what_has_ended_with_its_code(shell: Shell) -> None:
    shell("run -d --name up busybox sleep 1000")
    shell("create --name made busybox")
    for code in (0, 3):
        shell.try_(f"run --name ended{code} busybox sh -c 'exit {code}'")
    running, everything = shell("ps").splitlines(), shell("ps -a -f name=up -f name=made -f name=ended").splitlines()
    assert re.split(r"  +", running[0].strip()) == [
        "CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES",
    ]  # fmt: skip
    assert [line.split()[-1] for line in running[1:] if line.split()[-1] != SLOW] == ["up"]
    assert re.search(r'[0-9a-f]{12}   busybox   "sleep 1000"   .* ago +Up .* +up', "\n".join(running))
    assert [line.split()[-1] for line in everything[1:]] == ["ended3", "ended0", "made", "up"]
    status = {line.split()[-1]: line for line in everything[1:]}
    assert "Exited (3) " in status["ended3"]
    assert "Exited (0) " in status["ended0"]
    assert "Created" in status["made"]


def test_ps_is_filtered_cut_and_formatted(shell: Shell) -> None:
    shell("create --name one -l tier=front -l x busybox")
    shell("create --name two -l tier=back -v data:/data busybox")
    shell.try_("run --name three --network none busybox false")
    for filters, names in {
        "-f label=tier": "two one", "-f label=tier=back": "two", "-f label=tier=front -f label=x": "one",
        "-f label=tier=back -f label=x": "", "-f status=exited": "three", "-f exited=1": "three", "-f exited=0": "",
        "-f status=created -f status=exited": "three two one", "-f name=^/t": "three two", "-f since=one": "three two",
        "-f before=two": "one", "-f volume=data": "two", "-f volume=/data": "two", "-f network=none": "three",
        "-f ancestor=busybox -f name=e": "three one", "-f health=none -f name=two": "two", "-n 1": "three", "-l": "three",
    }.items():  # fmt: skip
        spared = f"ps -a {filters} --format '{{{{.Names}}}}'"
        assert [name for name in shell(spared).split() if name != SLOW] == names.split(), filters
    id = shell.inspect("two")["Id"]
    assert shell(f"ps -aq -f id={id[:20]}") == f"{id[:12]}\n"
    assert shell("ps -aq --no-trunc -f name=two") == f"{id}\n"
    assert shell.fails("ps -f colour=red") == "invalid filter 'colour'"
    assert "(virtual " in shell("ps -as -f name=two")


# --- logs, inspect, top, port, attach ---


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_logs_keep_the_streams_apart_and_are_cut_as_asked(shell: Shell, driver: str) -> None:
    shell.try_(f"run --name web --log-driver {driver} busybox sh -c 'echo one; echo two >&2; sleep 0.05; echo three'")
    ran = shell.try_("logs web")
    assert (ran.out, ran.err) == ("one\nthree\n", "two\n")
    for option in ("--tail 1", "-n 1"):
        assert shell(f"logs {option} web") == "three\n"
    assert shell("logs --tail all web") == "one\nthree\n"
    lines = shell("logs -t web").splitlines()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (one|three)", line) for line in lines)
    moment = lines[1].split()[0]
    assert shell(f"logs --since {moment} web") == "three\n"
    assert shell(f"logs --until {lines[0].split()[0]} web") == "one\n"
    assert (shell("logs --since 10m web"), shell("logs --until 10m web")) == ("one\nthree\n", "")
    assert shell("logs -f web") == "one\nthree\n"
    shell(f"create --name empty --log-driver {driver} busybox")
    assert shell("logs empty") == ""
    assert shell.inspect("web")["HostConfig"]["LogConfig"] == {"Type": driver, "Config": {}}
    assert bool(shell.inspect("web")["LogPath"]) == (driver == "json-file")


def test_logs_are_followed_to_the_end_with_their_details(shell: Shell) -> None:
    options = "-l tier=front -e STAGE=test --log-opt labels=tier --log-opt env=STAGE"
    shell(f"run -d --name web {options} busybox sh -c 'for i in 1 2 3; do echo $i; sleep 0.1; done; exit 2'")
    assert shell("logs -f web") == "1\n2\n3\n"
    assert shell("logs --details --tail 1 web") == "STAGE=test,tier=front 3\n"


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_logs_span_rotated_files_and_join_long_lines(docker: Shell, driver: str) -> None:
    options = f"--log-driver {driver} --log-opt max-size=20k --log-opt max-file=4"
    count = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"
    docker(f"run --name web {options} busybox sh -c '{count}'")
    assert docker("logs web").splitlines() == [f"line {i}" for i in range(500)]
    assert docker("logs --tail 300 web").splitlines() == [f"line {i}" for i in range(200, 500)]
    docker(
        f"run --name long --log-driver {driver} busybox sh -c 'head -c 40000 /dev/zero | tr \"\\0\" x; echo; echo end'"
    )
    assert docker("logs long") == "x" * 40000 + "\nend\n"


def test_a_local_log_is_followed_over_a_restart_and_refuses_what_it_does_not_know(docker: Shell) -> None:
    text = (
        "unknown log opt 'labels' for local log driver; known are compress, max-buffer-size, max-file, max-size, mode"
    )
    assert text in docker.fails("run --log-driver local --log-opt labels=a busybox true", 125)
    docker("run -d --name web --log-driver local busybox sh -c 'echo begun; exec sleep 1000'")
    until(lambda: docker("logs web") == "begun\n")
    docker("restart -t 0 web")
    until(lambda: docker("logs web") == "begun\nbegun\n")
    docker("kill web")
    assert docker("logs -f --tail 1 web") == "begun\n"


def test_inspect_shows_an_array_of_whatever_has_the_name(shell: Shell) -> None:
    shell("create --name web -v data:/data busybox sleep 7")
    for name, key, value in (("web", "Name", "/web"), ("busybox", "Os", "linux"), ("bridge", "Driver", "bridge")):
        assert shell.inspect(name)[key] == value
    assert shell.inspect("data")["Mountpoint"].endswith("/_data")
    found = json.loads(shell("inspect web bridge"))
    assert [found[0]["Path"], found[0]["Args"], found[1]["Name"]] == ["sleep", ["7"], "bridge"]
    ran = shell.try_("inspect web nosuch -f '{{.Name}} {{.State.Status}}'")
    assert (ran.status, ran.out, ran.err) == (1, "/web created\n", "Error: No such object: nosuch\n")
    assert shell.fails("inspect --type network web") == "network web not found"


def test_objects_are_shown_in_the_order_of_their_names(docker: Shell) -> None:
    docker("create --name web -l b=2 -l a=1 --log-opt max-size=1m --log-opt max-file=2 busybox")
    assert docker("inspect -f '{{json .Config.Labels}} {{json .HostConfig.LogConfig.Config}}' web") == (
        '{"a":"1","b":"2"} {"max-file":"2","max-size":"1m"}\n'
    )


def test_top_shows_the_hosts_view_of_the_processes(shell: Shell) -> None:
    shell("run -d --name web busybox sh -c 'sleep 1000 & sleep 2000 & wait'")
    until(lambda: len(shell("top web").splitlines()) == 4)
    lines = shell("top web").splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert lines[1].split()[1] == str(shell.state("web")["Pid"])
    assert {line.split(maxsplit=7)[7].strip() for line in lines[2:]} == {"sleep 1000", "sleep 2000"}
    assert shell("top web -eo pid,comm").splitlines()[0].split() == ["PID", "COMMAND"]


def test_port_tells_where_each_is_published(shell: Shell) -> None:
    shell("run -d --name web -p 127.0.0.1:18345:80 -p 127.0.0.1:18346:53/udp busybox sleep 1000")
    assert shell("port web") == "53/udp -> 127.0.0.1:18346\n80/tcp -> 127.0.0.1:18345\n"
    assert shell("port web 80") == "127.0.0.1:18345\n"
    assert "No public port '81' published for web" in shell.fails("port web 81")


def test_a_websocket_is_connected_to_both_streams_and_its_close_ends_the_input(docker: Shell, engine: World) -> None:
    async def talk() -> bytes:
        path = "/containers/web/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(engine.where.socket))) as session,
            session.ws_connect(f"http://docker{path}") as websocket,
        ):
            docker("start web")
            await websocket.send_bytes(b"\xff and so on\n")
            return bytes(await websocket.receive_bytes())

    docker("create --name web -i busybox sh -c 'cat; echo ended >&2; exit 3'")
    assert asyncio.run(talk()) == b"\xff and so on\n"
    assert docker("wait web") == "3\n"
    assert docker.try_("logs web").err == "ended\n"


def test_attach_shows_the_rest_and_has_the_exit_code(shell: Shell) -> None:
    shell("run -d --name web busybox sh -c 'sleep 0.5; echo late; echo err >&2; exit 3'")
    ran = shell.try_("attach web")
    assert (ran.status, ran.out, ran.err) == (3, "late\n", "err\n")
    assert shell.fails("attach web").lower() == "you cannot attach to a stopped container, start it first"
    shell("run -d --name tty -t busybox sleep 1000")
    assert shell.fails("attach tty") == "the input device is not a TTY"


# --- comes last: what began first has had its time ---


def test_stop_waits_for_ten_seconds_if_nothing_else_is_said(
    engine: World, stopping: tuple[subprocess.Popen[bytes], float]
) -> None:
    process, begun = stopping
    assert process.wait(20) == 0
    state = Shell(engine.docker).state(SLOW)
    assert state["ExitCode"] == 137
    assert time.monotonic() - begun >= 10
