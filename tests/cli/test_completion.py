"""Completion, as bash asks for it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.cli.client import Client
from tests.cli.fake_daemon import FakeDaemon

from wherry_cli.complete import ARGUMENTS
from wherry_cli.main import load
from wherry_cli.table import COMMANDS

DRIVE = """
source <(wherry completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
_wherry 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


def tab(wherry: Client, line: str) -> set[str]:
    """What bash offers for the end of a line."""
    program = Path(wherry.command[0]).parent
    environment = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "WHERRY_HOST": wherry.command[2]}
    done = subprocess.run(
        ["bash", "-c", DRIVE, "bash", line], capture_output=True, text=True, env=environment, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("wherry restar", {"restart"}),
        ("wherry -H unix:///x volume ", {"create", "inspect", "ls", "prune", "rm"}),
        ("wherry -D network p", {"prune"}),
        ("wherry stop --ti", {"--timeout"}),
        ("wherry run --restart u", {"unless-stopped"}),
        ("wherry run --restart=u", {"unless-stopped"}),
        ("wherry rm -f box-", {"box-1", "box-2", "box-3", "box-5"}),
        ("wherry start ", {"box-3", "box-5"}),
        ("wherry run -it busybox:", {"latest"}),
        ("wherry run -it busybox ", set()),
        ("wherry run --volumes-from box-1 localhost:5000/team/app:1", {"1.0"}),
        ("wherry completion z", {"zsh"}),
        ("wherry nosuch ", set()),
        ("wherry nosuch sub x", set()),
    ],
)
def test_bash_offers_what_may_follow(wherry: Client, line: str, offered: set[str]) -> None:
    assert tab(wherry, line) == offered


def test_without_an_engine_only_words_of_the_program_are_offered(wherry: Client, daemon: FakeDaemon) -> None:
    client = Client([*wherry.command[:2], "unix:///nowhere"], "wherry")
    assert tab(client, "wherry rm ") == set()
    assert tab(client, "wherry rm --vol") == {"--volumes"}


def test_an_unknown_shell_is_refused(wherry: Client) -> None:
    ran = wherry("completion", "tcsh")
    assert (ran.status, ran.err) == (1, "there is no completion for tcsh: say bash, fish or zsh\n")


def test_every_argument_that_names_an_object_has_a_source() -> None:
    wanting = {
        name for name in COMMANDS if re.search(r"\b(CONTAINER|IMAGE|SOURCE_IMAGE|NETWORK|VOLUME)\b", load(name).usage)
    }
    made = {"network create", "volume create", "image import"}  # their names are new ones
    assert set(ARGUMENTS) - {"completion", "image ls", "inspect"} == wanting - made
