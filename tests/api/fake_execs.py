"""Execs in memory: their pipes are real, and the test has the process's ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import attrs

from wherry.errors import Conflict, NotFound, WherryError
from wherry.model.containers import Container
from wherry.model.execs import Exec, ExecSpec
from wherry.model.names import new_id
from wherry_engine.engine.exec_streams import ExecStreams


@attrs.define(eq=False)
class FakeProcess:
    """The process of an exec that has been started. Its descriptors by name: stdin, stdout, stderr."""

    exec: Exec
    streams: ExecStreams
    fds: dict[str, int]

    def close(self, *names: str) -> None:
        """Close these, or all."""
        for name in names or tuple(self.fds):
            os.close(self.fds.pop(name))


class FakeExecs:
    """Execs that do what the test says."""

    def __init__(self) -> None:
        self.all: dict[str, Exec] = {}
        self.started: asyncio.Queue[FakeProcess] = asyncio.Queue()
        self.calls: list[tuple[object, ...]] = []
        self.failure: WherryError | None = None
        self.delay = 0.0

    def create(self, ref: str, spec: ExecSpec) -> str:
        """Noted."""
        if self.failure:
            raise self.failure
        found = Exec(id=new_id(), container_id="c" * 64, spec=spec)
        self.all[found.id] = found
        self.calls.append(("create", ref, spec))
        return found.id

    def get(self, id: str) -> Exec:
        """By its whole id."""
        if id not in self.all:
            raise NotFound(f"No such exec instance: {id}")
        return self.all[id]

    def ids(self, container: Container) -> Sequence[str]:
        """Those that have not ended."""
        return [each.id for each in self.all.values() if each.exit_code is None and each.container_id == container.id]

    def check(self, id: str) -> Exec:
        """Refuses a second start."""
        if self.get(id).running:
            raise Conflict(f"error: Exec command {id} is already running")
        return self.get(id)

    async def start(self, id: str, console_size: tuple[int, int]) -> ExecStreams:
        """The process's ends go to the test."""
        self.calls.append(("start", console_size))
        await asyncio.sleep(self.delay)
        if self.failure:
            raise self.failure
        self.all[id] = attrs.evolve(self.all[id], running=True, pid=42)
        ours, theirs = {}, {}
        for name in ("stdin", "stdout", "stderr"):
            read, write = os.pipe()
            ours[name], theirs[name] = (write, read) if name == "stdin" else (read, write)
        streams = ExecStreams(tty=False)
        await streams.open(ours)
        self.started.put_nowait(FakeProcess(self.all[id], streams, theirs))
        return streams

    def end(self, process: FakeProcess, code: int) -> None:
        """It has ended."""
        self.all[process.exec.id] = attrs.evolve(process.exec, running=False, exit_code=code)
        process.close()
        process.streams.finish()

    async def resize(self, id: str, height: int, width: int) -> None:
        """Noted."""
        self.calls.append(("resize", self.get(id).id, height, width))

    def detached(self, id: str) -> None:
        """Noted."""
        self.calls.append(("detached", id))
