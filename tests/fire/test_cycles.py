"""A hundred times the same: no process of the engine holds more descriptors, threads or memory than before, nor does the host."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from scripts.bench.engines import pss
from scripts.engine import free_port
from tests.fire.daemon import IMAGE, Fire, Refused, on_fire
from tests.fire.machinery import Stream, attached

from wherry.testing import tasks
from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]

CYCLES = 100
WARM_UP, CLIENTS = (
    8,
    4,
)  # cycles of each of so many clients at once: from then on every pool of threads has one to spare
SPARE_DESCRIPTORS, GROWTH, ARENA = (
    2,
    1.05,
    0.5,
)  # MiB: two arenas of Python's, which a small process may take at any time
PATIENCE = 8.0  # s in which what clients have left behind may be cleared away


@attrs.frozen
class Held:
    """What one process holds."""

    descriptors: int
    threads: int
    memory: float = attrs.field(eq=False)  # MiB

    @classmethod
    def of(cls, pid: int) -> Held:
        """Now."""
        return cls(len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")), pss(pid))

    def exceeds(self, before: Held) -> bool:
        """Whether it is more than what cycles may cost."""
        return (
            self.descriptors > before.descriptors + SPARE_DESCRIPTORS
            or self.threads > before.threads
            or self.memory > max(before.memory * GROWTH, before.memory + ARENA)
        )


class Cycles:
    """An engine with one container that runs, and what is done to it over and over."""

    def __init__(self, fire: Fire) -> None:
        self.fire, self.api = fire, fire.api
        self.api.run("steady", "while :; do echo one; sleep 1000; done", OpenStdin=True)
        self.port = free_port(18300)
        self._foreign = socket.create_server(("0.0.0.0", self.port))

    def close(self) -> None:
        """Let the port go."""
        self._foreign.close()

    def ours(self) -> dict[str, int]:
        """The engine's processes by name; what runs in containers is none."""
        here = os.readlink("/proc/self/ns/pid")
        found = {"wherryd": self.fire.engine.pid}
        for process in tasks.descendants(os.getpid()):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if process.name.startswith("wherry-") and os.readlink(f"/proc/{process.pid}/ns/pid") == here:
                    found[f"{process.name} {process.pid}"] = process.pid
        return found

    def held(self) -> dict[str, Held]:
        """What each of them holds."""
        return {name: Held.of(pid) for name, pid in self.ours().items()}

    def at_rest(self) -> dict[str, Held]:
        """What each of them holds when what came before is cleared away."""
        held = self.held()
        while True:
            time.sleep(0.1)
            before, held = held, self.held()
            if all(held.get(name) == known for name, known in before.items()):
                return held

    def grown(self, before: dict[str, Held]) -> dict[str, tuple[Held | None, Held]]:
        """The processes that hold more than before, with what they held and hold."""
        now = self.held()
        return {
            name: (before.get(name), held)
            for name, held in now.items()
            if name not in before or held.exceeds(before[name])
        }

    # --- what is done ---

    def run(self) -> None:
        """docker run --rm."""
        id = self.api.create(f"brief-{threading.get_ident()}", "echo out; exit 3", AutoRemove=True)
        with self._begun(f"POST /containers/{id}/wait?condition=removed") as waiting:
            with self._begun(f"POST /containers/{id}/attach?stream=1&stdout=1", upgrade=True) as output:
                self.api("POST", f"/containers/{id}/start")
                output.await_text(b"out\n")
            waiting.await_text(b'"StatusCode":3')

    def exec(self) -> None:
        """docker exec."""
        id = self.api("POST", "/containers/steady/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
        self.api.raw("POST", f"/exec/{id}/start", {"Detach": False})
        assert self.api("GET", f"/exec/{id}/json")["ExitCode"] == 0

    def attach(self) -> None:
        """docker attach, aborted."""
        attached(self.fire.where.socket, "steady").close()

    def follow(self) -> None:
        """docker logs --follow, aborted."""
        with self._begun("GET /containers/steady/logs?stdout=1&follow=1") as logs:
            logs.await_text(b"one\n")

    def events(self) -> None:
        """docker events, aborted."""
        with self._begun("GET /events"):
            pass

    def missing_program(self) -> None:
        """A start that fails in the runtime."""
        self._fails({"Cmd": ["nosuch"]}, "executable file not found")

    def port_in_use(self) -> None:
        """A start that fails in the network."""
        bindings = {"80/tcp": [{"HostPort": str(self.port)}]}
        config = {"Cmd": ["true"], "ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": bindings}}
        self._fails(config, "address already in use")

    def _fails(self, config: Mapping[str, object], why: str) -> None:
        name = f"failing-{threading.get_ident()}"
        self.api("POST", "/containers/create", {"Image": IMAGE, **config}, name=name)
        with pytest.raises(Refused, match=why):
            self.api("POST", f"/containers/{name}/start")
        self.api("DELETE", f"/containers/{name}")

    def _begun(self, request: str, *, upgrade: bool = False) -> contextlib.closing[Stream]:
        return contextlib.closing(Stream(self.fire.where.socket, request, upgrade=upgrade))


KINDS = (
    Cycles.run,
    Cycles.exec,
    Cycles.attach,
    Cycles.follow,
    Cycles.events,
    Cycles.missing_program,
    Cycles.port_in_use,
)


@pytest.fixture(scope="module")
def cycles() -> Iterator[Cycles]:
    """An engine that has done a little of everything, so that what it keeps for later is there."""
    ledger = HostLedger()
    with on_fire() as fire:
        made = Cycles(fire)
        for kind in KINDS:
            with ThreadPoolExecutor(CLIENTS) as clients:
                list(clients.map(kind, [made] * CLIENTS * WARM_UP))
        yield made
        made.close()
    assert ledger.settled() == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_cycles_leave_nothing(cycles: Cycles, host_ledger: HostLedger, kind: Callable[[Cycles], None]) -> None:
    before = cycles.at_rest()
    for _ in range(CYCLES):
        kind(cycles)
    end = time.monotonic() + PATIENCE
    while grown := cycles.grown(before):
        assert time.monotonic() < end, grown
        time.sleep(0.1)
