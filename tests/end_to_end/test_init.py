"""`--init`: a small init is the first process, passes signals on and reaps orphans."""

from __future__ import annotations

import json
import subprocess

import pytest

from wherry.errors import Invalid
from wherry_engine.engine import init_program


def run(docker: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*docker, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.root
@pytest.mark.peer
def test_an_init_is_in_front_and_reaps(docker: list[str]) -> None:
    first = "head -c 20 /proc/1/cmdline | tr '\\0' ' '"
    assert run(docker, "run", "--rm", "--init", "busybox", "sh", "-c", first).stdout == "/sbin/docker-init -- "[:20]
    zombies = "(sleep 0.05 &); sleep 0.3; grep -l 'State:.*Z' /proc/[0-9]*/status"
    assert run(docker, "run", "--rm", "--init", "busybox", "sh", "-c", zombies).stdout == ""
    assert run(docker, "run", "--rm", "--init", "busybox", "sh", "-c", "exit 7").returncode == 7
    run(docker, "run", "-d", "--name", "box", "--init", "busybox", "sleep", "100")
    assert run(docker, "stop", "-t", "30", "box").returncode == 0  # SIGTERM is passed on: no kill
    (found,) = json.loads(run(docker, "inspect", "box").stdout)
    assert (found["State"]["ExitCode"], found["Path"], found["HostConfig"]["Init"]) == (143, "sleep", True)
    assert run(docker, "info", "--format", "{{.InitBinary}}").stdout.strip() in init_program.PROGRAMS


def test_without_a_program_on_the_host_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_program, "find", lambda name: None)
    with pytest.raises(Invalid, match="apt-get install tini"):
        init_program.find_init("")
