"""The program itself: finding commands, help, exit statuses, and what it imports."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.client import Client
from tests.cli.fake_daemon import FakeDaemon

from wherry_cli.help import command_help
from wherry_cli.main import load
from wherry_cli.table import ALIASES, COMMANDS, GROUPS

HEAVY = (
    "attr",
    "attrs",
    "cattrs",
    "textual",
    "pyroute2",
    "aiohttp",
    "pluggy",
    "stevedore",
    "orjson",
    "asyncio",
    "socket",
    "typing",
    "argparse",
    "subprocess",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_what_the_table_says(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert " " not in name or name.split()[0] in GROUPS
    page = command_help(command, name)
    for option in command.options:
        if not option.hidden:
            assert f"--{option.long}" in page
            assert option.help.endswith("."), f"the help of --{option.long} is no sentence"
    shorts = [option.short for option in command.options if option.short]
    assert len(shorts) == len(set(shorts))


def test_every_alias_leads_to_a_command() -> None:
    assert set(ALIASES.values()) <= set(COMMANDS)


def test_help_is_shown_in_every_way_of_asking(wherry: Client) -> None:
    for words in (["--help"], [], ["help"], ["-h"]):
        ran = wherry(*words)
        assert (ran.status, ran.err) == (0, "")
        assert "Usage:  wherry [OPTIONS] COMMAND" in ran.out
    assert "Usage:  wherry container COMMAND" in wherry("container").out
    for words in (["ps", "--help"], ["help", "ps"], ["ps", "-h"]):
        assert wherry(*words).out.startswith("Usage:  wherry ps [OPTIONS]\n\nList containers.")
    assert (
        "wherry container list, wherry container ls, wherry container ps, wherry ps"
        in wherry("container", "ls", "--help").out
    )


def test_unknown_commands_are_named(wherry: Client) -> None:
    ran = wherry("foo")
    assert (ran.status, ran.out, ran.err) == (
        1,
        "",
        "wherry: unknown command: wherry foo\n\nRun 'wherry --help' for more information\n",
    )
    ran = wherry("network", "foo")
    assert ran.status == 1
    assert ran.err.startswith("wherry: unknown command: wherry network foo\n")


def test_wrong_flags_end_in_125_with_the_usage(wherry: Client) -> None:
    ran = wherry("run", "--foo", "x")
    assert ran.status == 125
    assert (
        ran.err
        == "unknown flag: --foo\n\nUsage:  wherry run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'wherry run --help' for more information\n"
    )
    assert wherry("--foo", "ps").status == 125


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run"], "wherry: 'wherry run' requires at least 1 argument\n"),
        (["ps", "x"], "wherry: 'wherry ps' accepts no arguments\n"),
        (["tag", "x"], "wherry: 'wherry tag' requires 2 arguments\n"),
        (["images", "x", "y"], "wherry: 'wherry images' requires at most 1 argument\n"),
        (["import"], "wherry: 'wherry import' requires at least 1 argument\n"),
    ],
)
def test_wrong_numbers_of_arguments_are_refused(wherry: Client, words: list[str], text: str) -> None:
    ran = wherry(*words)
    assert ran.status == 1
    assert ran.err.startswith(text)


def test_an_engine_that_is_not_there_is_told(tmp_path: Path) -> None:
    client = Client([str(Path(sys.executable).with_name("wherry"))], "wherry")
    ran = client("ps", environment={"DOCKER_HOST": f"unix://{tmp_path}/none"})
    assert (ran.status, ran.err) == (
        1,
        f"Cannot connect to the Wherry engine at unix://{tmp_path}/none. Is wherryd running?\n",
    )
    assert client("-H", "foo://x", "ps").err == "invalid bind address format: foo://x\n"
    assert client("-H", "a", "-H", "b", "ps").err == "Specify only one -H\n"


def test_hosts_come_from_the_environment(daemon: FakeDaemon, tmp_path: Path) -> None:
    client = Client([str(Path(sys.executable).with_name("wherry"))], "wherry")
    assert client("ps", "-q", environment={"WHERRY_HOST": daemon.url, "DOCKER_HOST": "unix:///nowhere"}).status == 0
    assert client("ps", "-q", environment={"DOCKER_HOST": daemon.url}).status == 0


def test_tls_needs_certificates_that_exist(wherry: Client, tmp_path: Path) -> None:
    client = Client(wherry.command[:1], "wherry")
    with socket.create_server(("127.0.0.1", 0)) as server:  # asked for nothing as long as the files are missing
        host = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        places = {"DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}
        for words, environment in ((("--tlsverify",), {"DOCKER_CERT_PATH": str(tmp_path)}), ((), places)):
            ran = client(*words, "-H", host, "ps", environment=environment)
            assert ran.status == 1
            assert ran.err.startswith(f"TLS needs {tmp_path}/ca.pem, {tmp_path}/cert.pem and {tmp_path}/key.pem: ")


def test_tls_concerns_no_unix_socket(wherry: Client) -> None:
    assert wherry("--tlsverify", "ps").status == 0


def test_the_api_version_can_be_pinned(daemon: FakeDaemon, wherry: Client) -> None:
    assert wherry("ps", environment={"DOCKER_API_VERSION": "1.41"}).status == 0
    assert daemon.requests[-1].version == "1.41"


def test_a_reader_that_goes_away_is_no_traceback(wherry: Client) -> None:
    process = wherry.start("ps", "--no-trunc")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(10) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()


def imported(*words: str, url: str = "unix:///nowhere") -> set[str]:
    """What a command has imported when it is done."""
    code = "import sys; from wherry_cli.main import main; sys.argv = ['wherry', *sys.argv[1:]]; main(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, "-H", url, *words], capture_output=True, text=True, timeout=30, check=True
    )
    return set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    found = imported("--help")
    assert not found & {*HEAVY, "json", "re"}
    assert not any(name.startswith("wherry_cli.commands.") for name in found)


@pytest.mark.parametrize("words", [("ps",), ("images",), ("network", "ls"), ("version",), ("inspect", "box-1")])
def test_the_fast_path_imports_the_standard_library_alone(daemon: FakeDaemon, words: tuple[str, ...]) -> None:
    light = set(HEAVY) - ({"socket", "typing", "subprocess"} if words == ("version",) else set())
    found = imported(*words, url=daemon.url)
    assert not found & light
    assert not any(name.startswith(("wherry_engine", "wherry.")) for name in found)


def test_listing_drivers_imports_none_of_them() -> None:
    found = imported("plugin", "ls")
    drivers = ("wherry_storage", "wherry_network", "wherry_volume", "wherry_log", "wherry_runtime")
    assert not any(name.startswith(drivers) for name in found)
    assert not found & {"textual", "pyroute2", "aiohttp", "stevedore", "nftables"}
