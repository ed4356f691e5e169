"""Containers write while every process of the engine is killed again and again: not a line is lost, not an exit code wrong.

WHERRY_KILL_SEED repeats a run's random choices; the moments at which the kernel and the engine are hit differ all the same.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from scripts.engine import free_port
from tests.fire.daemon import IMAGE, Fire, eventually
from tests.fire.machinery import MONITOR, RESOLVER, SUPERVISOR, Echo, Machinery, output, say

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

WRITERS, KILLS, RESTARTS, OUTAGE = 10, 20, 5, 10.0
PTY, ERRORS, BURSTS = 0, (1, 2), 3  # the numbers of those writers that are special
BURST = 16_000  # lines of a burst of 10 bytes each: more than twice what a pipe holds
FIRST = 100_000_000  # all lines have the same length
# A read that nothing answers is a pause without a process of its own; a signal ends it, and the loop with it.
SCRIPT = """
mkfifo /tmp/pause; exec 3<>/tmp/pause; end=; i=0
trap 'end=1' TERM
while [ ! "$end" ]; do {write}; read -t {pause} -u 3 x; done
echo "end $i"; exit {code}
"""
ONE = f"echo $(({FIRST}+i)){{where}}; i=$((i+1))"
MANY = f"seq $(({FIRST}+i)) $(({FIRST}+i+{BURST - 1})); i=$((i+{BURST}))"
TYPIST = "while read word; do echo got $word; [ $word = quit ] && exit 77; done"
ECHO = "mkdir /w; busybox nc -ll -p 80 -e cat & trap 'kill %1; exit 78' TERM; while :; do wait; done"


def script(number: int) -> str:
    """What a writer runs; its exit code is 100 more than its number."""
    write = MANY if number == BURSTS else ONE.format(where=">&2" if number in ERRORS else "")
    return SCRIPT.format(write=write, pause=1 if number == BURSTS else 0.01, code=100 + number)


class Crowd:
    """The writers, two containers that answer what is typed, one behind a published port, one on a network with names."""

    def __init__(self, fire: Fire, network: str) -> None:
        self.fire, self.port = fire, free_port(18200)
        for number in range(WRITERS):
            self._run(f"writer{number}", script(number), Tty=number == PTY)
        for name, tty in (("typist", False), ("terminal", True)):
            self._run(name, TYPIST, OpenStdin=True, Tty=tty)
        bindings = {"80/tcp": [{"HostPort": str(self.port)}]}
        self._run(
            "echo", ECHO, ExposedPorts={"80/tcp": {}}, HostConfig={"NetworkMode": network, "PortBindings": bindings}
        )
        self.states = self._states()

    def _run(self, name: str, command: str, **config: object) -> None:
        config = {"HostConfig": {"NetworkMode": "none"}, **config}
        self.fire.api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["sh", "-c", command], **config}, name=name)
        self.fire.api("POST", f"/containers/{name}/start")

    def _states(self) -> dict[str, tuple[object, ...]]:
        names = [*(f"writer{number}" for number in range(WRITERS)), "typist", "terminal", "echo"]
        states = {name: self.fire.api.inspect(name)["State"] for name in names}
        return {name: (state["Status"], state["Pid"], state["StartedAt"]) for name, state in states.items()}

    def check(self, word: str) -> None:
        """All run as from the first, and attach works."""
        assert self._states() == self.states
        for name in ("typist", "terminal"):
            say(self.fire.where.socket, name, word)
        before = len(output(self.fire, "writer4")[0])
        eventually(lambda: len(output(self.fire, "writer4")[0]) > before)

    def end(self) -> None:
        """End them all: every line is there, once and in order, and every exit code is its own."""
        api = self.fire.api
        codes = {f"writer{number}": 100 + number for number in range(WRITERS)} | {
            "typist": 77,
            "terminal": 77,
            "echo": 78,
        }
        for name in codes:
            if name in ("typist", "terminal"):
                say(self.fire.where.socket, name, "quit")
            else:
                api("POST", f"/containers/{name}/kill", signal="TERM")
        ended = {name: api("POST", f"/containers/{name}/wait")["StatusCode"] for name in codes}
        assert ended == codes
        for number in range(WRITERS):
            self._check_lines(number)

    def _check_lines(self, number: int) -> None:
        stdout, stderr = output(self.fire, f"writer{number}", tty=number == PTY)
        count = int(stdout.pop().removeprefix("end "))
        lines, other = (stderr, stdout) if number in ERRORS else (stdout, stderr)
        assert other == []
        assert lines == [str(FIRST + n) for n in range(count)], f"writer {number}"
        assert count > 0


@contextmanager
def chance() -> Iterator[random.Random]:
    """Random choices whose seed is told."""
    seed = os.environ.get("WHERRY_KILL_SEED") or str(random.randrange(10**6))
    print(f"WHERRY_KILL_SEED={seed}")  # noqa: T201  to repeat it
    yield random.Random(seed)


def test_writers_do_not_notice_that_the_engine_is_killed_or_away(fire: Fire) -> None:
    with chance() as random, ExitStack() as stack:
        crowd = Crowd(fire, "bridge")
        echo = Echo(crowd.port)
        stack.callback(echo.close)
        for number in range(RESTARTS):
            time.sleep(random.uniform(0.05, 0.6))
            fire.kill()
            echo.check(f"dead {number}")
            fire.start()
            crowd.check(f"kill {number}")
            echo.check(f"back {number}")
        fire.kill()
        time.sleep(OUTAGE)
        echo.check("away")
        fire.start()
        crowd.check("away")
        echo.check("back")
        crowd.end()


def test_writers_do_not_notice_that_monitor_supervisor_and_resolver_are_killed(fire: Fire) -> None:
    with chance() as random, ExitStack() as stack:
        fire.api("POST", "/networks/create", {"Name": "names"})
        stack.callback(fire.api, "DELETE", "/networks/names")
        crowd = Crowd(fire, "names")
        stack.callback(fire.api, "DELETE", "/containers/echo", force=1)
        echo, machinery = Echo(crowd.port), Machinery(fire)
        stack.callback(echo.close)
        for name in (MONITOR, SUPERVISOR, RESOLVER):
            for number in range(KILLS):
                time.sleep(random.uniform(0.0, 0.3))
                machinery.kill(name)
                if number % 5 == 4:
                    crowd.check(f"{name} {number}")
                    echo.check(f"{name} {number}")
                    eventually(lambda: _resolves(fire, "echo"))
        crowd.end()


def _resolves(fire: Fire, name: str) -> bool:
    """Whether a container on the network finds another, or itself, by name."""
    command = ["busybox", "nslookup", name, "127.0.0.11"]
    id = fire.api("POST", f"/containers/{name}/exec", {"Cmd": command, "AttachStdout": True})["Id"]
    return b"172." in fire.api.raw("POST", f"/exec/{id}/start", {"Detach": False})
