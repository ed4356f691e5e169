"""The engine's side of the process tree: what it asks of wherry-supervisor and wherry-monitor, and what they tell it.

Both outlive the engine. If one of them dies, its successor is asked again: every request may be repeated.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import attrs

from wherry.errors import Failed, Unavailable
from wherry.linux import sockets
from wherry.linux.spawn import spawn_detached
from wherry.linux.steps import step
from wherry.model.logs import LocalLog
from wherry.model.networks import PortMapping, Protocol
from wherry.model.runtimes import Runtime
from wherry.model.sandboxes import ServiceProcess
from wherry_engine.engine.cgroup_warmth import CgroupWarmth
from wherry_engine.engine.exec_processes import ExecProcesses
from wherry_engine.engine.process_link import Connection, error_of
from wherry_engine.engine.process_upgrade import below, digest, tree_code, upgrade
from wherry_engine.engine.process_watch import Watch, awake
from wherry_engine.monitor.protocol import VERSION

_LOST = 255
_LOG = "processes.log"  # what the processes say when something is wrong with them


@attrs.frozen(kw_only=True)
class Launch:
    """A container's process to be created. The same operation may ask again and gets the same process."""

    operation: str
    id: str
    bundle: Path
    runtime: Runtime
    tty: bool
    stdin: bool
    stdin_once: bool
    log: LocalLog
    log_path: Path
    console_size: tuple[int, int] = (0, 0)  # height, width


@attrs.frozen
class ProcessExit:
    """How a container's first process ended: its status, 128 + the number of a signal, or 255 and why it is not known."""

    id: str
    status: int
    at_ns: int
    oom_killed: bool
    error: str


@attrs.frozen
class ProcessInfo:
    """A container that has a process, or an exit that has not been deleted. Its pid is 0 if only the exit is left."""

    id: str
    pid: int
    exit: ProcessExit | None


class Processes:
    """The process tree below one exec root."""

    def __init__(self, run_root: Path, on_exit: Callable[[ProcessExit], None], environment: Mapping[str, str]) -> None:
        self._code = tree_code()
        self._root, self._on_exit, self._environment = run_root, on_exit, environment
        self._running: set[str] = set()
        self._told: dict[str, int] = {}  # exits that the engine knows of: container, time
        self._jobs = 0
        self._greeted_once = False
        self._child = 0  # the supervisor, if it is our child
        self._starting = asyncio.Lock()
        self._warmth = CgroupWarmth()
        self._supervisor = Connection(
            run_root / "supervisor.sock", event=lambda _: None, greeted=self._supervised, revive=self._start_supervisor
        )
        self._monitor = Connection(
            run_root / "monitor.sock", event=self._event, greeted=self._greeted, revive=self._start_supervisor
        )
        self.execs = ExecProcesses(self._monitor)
        self._watch = Watch(run_root, self._supervisor)

    @classmethod
    async def connect(
        cls, run_root: Path, *, on_exit: Callable[[ProcessExit], None], environment: Mapping[str, str]
    ) -> Processes:
        """Connect to the processes of this exec root, which are started if there are none. Raises Unavailable, OSError.

        Those of another version are upgraded in place, and logged where they refuse.
        `on_exit` is called for every exit from now on, once; those from before are in `list`.
        """
        self = cls(run_root, on_exit, environment)
        try:
            await awake(run_root)
            await upgrade(run_root, self._code, environment)
            await self._supervisor.connect()
            await self._monitor.connect()
            self._watch.begin()
        except BaseException:
            await self.close()
            raise
        return self

    def _listening(self) -> bool:
        try:
            sockets.connect(str(self._root / "supervisor.sock")).close()
        except BlockingIOError:  # and has much to do
            return True
        except OSError:
            return False
        return True

    async def _start_supervisor(self) -> None:
        """Start a supervisor unless there is one by now. Both processes are dead, and what they held is lost."""
        async with self._starting:
            if self._listening():
                return
            self._reap_child()
            if self._child:  # just started, not listening yet
                return
            with step("processes.supervisor.start"):
                os.makedirs(self._root, mode=0o711, exist_ok=True)
                log = os.open(
                    self._root / "processes.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
                )
                try:
                    argv = [*self._code.program, str(self._root), self._code.digest]
                    self._child = spawn_detached(argv, self._environment, log)
                finally:
                    os.close(log)

    def _reap_child(self) -> None:
        if self._child:
            with suppress(ChildProcessError):
                if not os.waitpid(self._child, os.WNOHANG)[0]:
                    return
            self._child = 0

    # --- containers ---

    async def create(self, launch: Launch) -> int:
        """Create a container's process, which waits to be started; its pid. Raises Failed with the runtime's last error."""
        pid = await self._monitor.call(
            "create",
            id=launch.id,
            operation=launch.operation,
            bundle=str(launch.bundle),
            runtime=_runtime(launch.runtime),
            tty=launch.tty,
            stdin=launch.stdin,
            stdin_once=launch.stdin_once,
            log=attrs.asdict(launch.log, value_serializer=lambda _i, _f, value: value),
            log_path=str(launch.log_path),
            console_size=launch.console_size,
        )
        if launch.id not in self._told:
            self._running.add(launch.id)
        return int(pid)

    async def start(self, id: str) -> None:
        """Let a created process execute its program. Raises Failed as `create` does, Conflict if it has ended, NotFound."""
        await self._monitor.call("start", id=id)

    async def kill(self, id: str, signal: int) -> None:
        """Send a signal to the container's first process. Raises NotFound if it has none."""
        await self._monitor.call("kill", id=id, signal=int(signal))

    async def delete(self, id: str, runtime: Runtime) -> None:
        """Kill what runs, and remove the process with all that belongs to it; succeeds if there is nothing."""
        await self._monitor.call("delete", id=id, runtime=_runtime(runtime))
        self._running.discard(id)
        self._told.pop(id, None)

    def has_ended(self, id: str) -> bool:
        """Whether the container's process is known to have ended, and has not been deleted yet."""
        return id in self._told

    async def list(self) -> Sequence[ProcessInfo]:
        """Every container with a process, or with an exit that has not been deleted."""
        rows = await self._monitor.call("list")
        return [ProcessInfo(row["id"], row["pid"], _exit(row["exit"]) if row["exit"] else None) for row in rows]

    async def attach(self, id: str, end: socket.socket, *, stdin: bool, stdout: bool, stderr: bool) -> None:
        """Give the container one end of a socket pair: output arrives there, framed unless it has a terminal, and what
        is written there is its input. The caller closes `end`; the monitor's copy closes when the output has ended.
        """
        await self._monitor.call("attach", fds=[end.fileno()], id=id, stdin=stdin, stdout=stdout, stderr=stderr)

    async def close_stdin(self, id: str) -> None:
        """End the container's input, after all that has been written to it by those attached so far."""
        await self._monitor.call("close_stdin", id=id)

    async def resize(self, id: str, height: int, width: int) -> None:
        """Tell the container's terminal its size. Raises Invalid if it has none, Conflict if it has ended."""
        await self._monitor.call("resize", id=id, height=height, width=width)

    # --- ports ---

    async def reserve_ports(self, owner: str, ports: Sequence[PortMapping]) -> None:
        """Bind all of these host ports for this owner, or none. Raises Conflict naming a port that is in use."""
        rows = [(port.protocol, port.host_address, port.host_port, port.container_port) for port in ports]
        await self._monitor.call("reserve", owner=owner, ports=rows)

    async def release_ports(self, owner: str) -> None:
        """Let all ports of this owner go; succeeds if it has none."""
        await self._monitor.call("release", owner=owner)

    async def ports(self) -> Mapping[str, Sequence[PortMapping]]:
        """The reserved ports, by owner."""
        owners = await self._monitor.call("ports")
        return {owner: [_port(row) for row in rows] for owner, rows in owners.items()}

    # --- jobs ---

    async def job(
        self, name: str, arguments: Mapping[str, object], fds: Sequence[int] = (), deadline: float | None = None
    ) -> object:
        """Run a job of wherry_engine.helper.jobs in a process of its own, and return its result.

        Errors come back by kind. When this call is cancelled or late (Unavailable) the process is killed, and the call
        ends when it is dead, or 5 s later: one that hangs in the kernel is abandoned.
        """
        ours, theirs = sockets.pair()
        ours.setblocking(False)
        self._jobs += 1
        number = self._jobs
        with ours:
            try:
                async with asyncio.timeout(deadline):
                    with theirs:
                        given = {"name": name, "arguments": dict(arguments), "job": number}
                        await self._supervisor.call("job", fds=[theirs.fileno(), *fds], once=True, **given)
                    await _readable(ours)
            except TimeoutError:
                await self._end_job(number, ours)
                raise Unavailable(f"job {name} took longer than {deadline:g} s and was killed") from None
            except asyncio.CancelledError:
                await self._end_job(number, ours)
                raise
            result, _ = sockets.receive(ours)
        if result is None:
            raise Failed(f"the helper for {name} died")
        if "error" in result:
            raise error_of(result["error"])
        return cast(object, result["value"])

    async def _end_job(self, number: int, sock: socket.socket) -> None:
        async def dead() -> None:
            with suppress(Unavailable):  # the supervisor is dead, and its helpers with it
                await self._supervisor.call("cancel", once=True, job=number)
            while True:
                await _readable(sock)
                if sockets.receive(sock)[0] is None:
                    return

        ending = asyncio.ensure_future(asyncio.wait_for(dead(), 5))
        while not ending.done():  # a second cancellation must not let the caller go while the process lives
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.shield(ending)

    # --- services ---

    async def service(self, process: ServiceProcess) -> None:
        """Keep this process running from now on, also when this engine has ended. Raises Failed if it cannot be started.

        One that runs other code is replaced.
        """
        package = process.function.partition(".")[0]
        found = importlib.util.find_spec(package)
        folders = [Path(each) for each in (found and found.submodule_search_locations) or ()]
        await self._supervisor.call(
            "service",
            name=process.name,
            function=process.function,
            path=[str(folder.parent) for folder in folders],
            arguments=process.arguments,
            code=[self._code.digest, digest(file for folder in folders for file in below(folder))],
        )

    # --- news ---

    def _event(self, message: dict[str, Any]) -> None:
        if message["event"] == "exec":
            self.execs.event(message["exec"])
        else:
            self._tell(_exit(message["exit"]))

    def _tell(self, exit: ProcessExit) -> None:
        self._running.discard(exit.id)
        if self._told.get(exit.id) != exit.at_ns:
            self._told[exit.id] = exit.at_ns
            self._on_exit(exit)

    def _supervised(self, hello: dict[str, Any]) -> None:
        _check_version(hello)
        self._reap_child()  # it may be another process by now

    def _greeted(self, hello: dict[str, Any]) -> None:
        """A monitor has answered. What has ended while there was none is told now."""
        _check_version(hello)
        self.execs.greeted(hello["execs"])
        rows = {row["id"]: row for row in hello["containers"]}
        exits = [_exit(row["exit"]) for row in rows.values() if row["exit"]]
        if self._greeted_once:
            for exit in exits:
                self._tell(exit)
            for id in self._running - rows.keys():
                self._tell(ProcessExit(id, _LOST, time.time_ns(), False, "the processes that watched it were killed"))
        else:
            self._told = {exit.id: exit.at_ns for exit in exits}
        self._greeted_once = True
        self._running = {id for id, row in rows.items() if not row["exit"]}

    # --- the host, and the end ---

    async def warm_up(self) -> None:
        """Let processes that are put into a cgroup in the next moments get there without a wait. Raises OSError."""
        await self._warmth.renew()

    async def close(self) -> None:
        """End the connections. The processes and all containers go on."""
        await self._warmth.stop()
        await self._watch.end()
        await self._monitor.close()
        await self._supervisor.close()

    async def shutdown(self) -> None:
        """End monitor and supervisor, of which no container may be left, and the connections."""
        await self._warmth.stop()
        await self._watch.end()
        await self._monitor.close()
        while True:
            with suppress(Unavailable):  # that is the answer
                await self._supervisor.call_last("stop")
            await self._supervisor.close()
            if not self._listening():
                break
            await self._supervisor.connect()  # killed just then, and replaced
        while self._child:
            self._reap_child()
            await asyncio.sleep(0.001)
        with step("processes.log.remove"), suppress(FileNotFoundError):
            if not os.path.getsize(self._root / _LOG):
                os.unlink(self._root / _LOG)


def _check_version(hello: dict[str, Any]) -> None:
    if hello["version"] != VERSION:
        text = f"process {hello['pid']} speaks protocol {hello['version']}, this engine {VERSION}, and could not be upgraded"
        raise Unavailable(text)


def _runtime(runtime: Runtime) -> dict[str, Any]:
    return {"argv": runtime.argv, "hide_unified_cgroup": runtime.hide_unified_cgroup}


def _exit(row: Mapping[str, Any]) -> ProcessExit:
    return ProcessExit(row["id"], row["status"], row["at_ns"], row["oom_killed"], row["error"])


def _port(row: Sequence[Any]) -> PortMapping:
    return PortMapping(cast(Protocol, row[0]), row[1], row[2], row[3])


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def told() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), told)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
