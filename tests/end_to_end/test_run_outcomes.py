"""How runs end, whose namespaces they live in and what is refused, typed into Docker's client and into ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.command_kit import CLIENTS, Shell, clear
from tests.end_to_end.exec_kit import World, until, world

from wherry.testing.ledger import become_subreaper

pytestmark = [pytest.mark.root, pytest.mark.peer]


@pytest.fixture(scope="module")
def engine() -> Iterator[World]:
    become_subreaper()
    with world() as made:
        yield made


@pytest.fixture
def docker(engine: World) -> Iterator[Shell]:
    """Docker's client, for what the engine alone decides."""
    yield Shell(engine.docker)
    clear(engine)


@pytest.fixture(params=CLIENTS)
def shell(request: pytest.FixtureRequest, engine: World) -> Iterator[Shell]:
    yield Shell(engine.client(request.param))
    clear(engine)


# --- exit codes ---


def test_the_exit_code_is_the_programs_or_says_why_it_did_not_run(shell: Shell) -> None:
    for code, command in {
        0: "true",
        3: "sh -c 'exit 3'",
        255: "sh -c 'exit 255'",
    }.items():
        assert shell.try_(f"run --rm busybox {command}").status == code
    said = shell.fails("run --name missing busybox nosuch", 127)
    assert said.startswith("failed to create task for container: OCI runtime create failed: ")
    assert said.endswith(
        'unable to start container process: exec: "nosuch": executable file not found in $PATH: unknown'
    )
    assert 'exec: "/etc": permission denied' in shell.fails("run --name folder busybox /etc", 126)
    assert 'exec: "": executable file not found in $PATH' in shell.fails("run --rm busybox ''", 127)
    assert shell.fails("run --name user --user nosuch busybox true", 125).startswith("unable to find user nosuch")
    codes = {name: shell.state(name) for name in ("missing", "folder", "user")}
    assert {name: (state["Status"], state["ExitCode"]) for name, state in codes.items()} == {
        "missing": ("created", 127), "folder": ("created", 126), "user": ("created", 128),
    }  # fmt: skip


def test_input_reaches_the_program_to_its_end_and_no_output_is_lost(shell: Shell) -> None:
    data = bytes(range(256)) * 2000
    assert shell("run -i --rm busybox sh -c 'cat | md5sum; echo end'", data).endswith("end\n")
    for _ in range(5):
        assert shell("run --rm busybox echo at once") == "at once\n"
    ran = shell.try_("run --rm -a stderr busybox sh -c 'echo out; echo err >&2; exit 4'")
    assert (ran.status, ran.out, ran.err) == (4, "", "err\n")
    assert shell("run --rm -t busybox sh -c 'echo out; echo err >&2'") == "out\r\nerr\r\n"


# --- namespaces of others ---


def test_a_container_lives_in_anothers_process_namespace(docker: Shell) -> None:
    docker("run -d --name host busybox sleep 1234")
    assert "sleep 1234" in docker("run --rm --pid container:host --init busybox ps")
    docker("run -d --name guest --pid container:host busybox sleep 4321")
    assert docker.inspect("guest")["HostConfig"]["PidMode"] == f"container:{docker.inspect('host')['Id']}"
    docker("rename host renamed")
    assert docker("restart -t 0 guest") == "guest\n"
    docker("stop -t 0 renamed")  # and with it everything in its namespace
    until(lambda: not docker.state("guest")["Running"])
    assert "is not running" in docker.fails("start guest").partition("\n")[0]
    assert docker.fails("run --pid container:nosuch busybox true", 125) == "No such container: nosuch"


def test_memory_is_shared_with_those_who_join_a_shareable_container(docker: Shell) -> None:
    docker("run -d --name giver --ipc shareable --shm-size 1m busybox sleep 1000")
    docker("exec giver sh -c 'echo shared > /dev/shm/file'")
    assert docker("run --rm --ipc container:giver busybox cat /dev/shm/file") == "shared\n"
    assert " 1024 " in " ".join(docker("exec giver df -k /dev/shm").split())
    docker("restart -t 0 giver")
    assert docker("exec giver ls /dev/shm") == ""
    docker("run -d --name private busybox sleep 1000")
    assert "non-shareable IPC" in docker.fails("run --ipc container:private busybox true", 125)
    docker("stop -t 0 giver")
    id = docker.inspect("giver")["Id"]
    said = docker.fails("run --ipc container:giver busybox true", 125)
    assert said == f"can't join IPC of container {id}: container {id} is not running"


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("-h name", "hostname and the network mode"),
        ("--dns 192.0.2.1", "dns and the network mode"),
        ("--add-host a:192.0.2.1", "custom host-to-IP mapping and the network mode"),
        ("-p 80", "port publishing and the container type network mode"),
        ("--expose 80", "port exposing and the container type network mode"),
    ],
)
def test_who_shares_a_network_has_no_settings_of_its_own(docker: Shell, option: str, what: str) -> None:
    docker("create --name host busybox")
    said = docker.fails(f"run --network container:host {option} busybox true", 125)
    assert said == f"conflicting options: {what}"


# --- what is missing, or cannot be ---


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--network container:nosuch", "joining network namespace of container: No such container: nosuch"),
        ("--volumes-from nosuch", "No such container: nosuch"),
        ("--link nosuch", "could not get container for nosuch: No such container: nosuch"),
        ("--network nosuch", "failed to set up container networking: network nosuch not found"),
        ("--mount type=bind,dst=/d", 'invalid mount config for type "bind": field Source must not be empty'),
        ("-v v1:/", "invalid volume specification: 'v1:/': invalid mount config for type \"volume\": invalid"
                    " specification: destination can't be '/'"),
        ("-v no/path:/d", 'create no/path: "no/path" includes invalid characters for a local volume name, only'
                          ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use'
                          " absolute path"),
        ("-v v1:/d:odd", "invalid mode: odd"),
        ("--storage-opt size=1G", "--storage-opt is supported only for storage drivers with quotas, and this one has none"),
        ("--gpus all", 'could not select device driver "" with capabilities: [[gpu]]'),
        ("--health-cmd x --health-interval 1us", "Interval in Healthcheck cannot be less than 1ms"),
        ("--platform linux/arm64 --pull never", "image with reference busybox was found but its platform (linux/amd64)"
                                                " does not match the specified platform (linux/arm64)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_no_image_is_pulled_for_it(docker: Shell, options: str, said: str) -> None:
    assert docker.fails(f"run --rm {options} busybox true", 125) == said


def test_what_the_kernel_does_not_limit_is_left_out_with_a_warning(shell: Shell) -> None:
    ran = shell.try_("run --rm --blkio-weight 500 --oom-kill-disable busybox true")
    assert ran.status == 0, ran
    if not Path("/sys/fs/cgroup/blkio/blkio.weight").exists():
        assert (
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded." in ran.err
        )
    assert "OOM" in ran.err


def test_a_program_can_tell_that_it_is_in_a_container(docker: Shell) -> None:
    docker("run --name web busybox test -f /.dockerenv")
    assert docker("diff web") == ""
