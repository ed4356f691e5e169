"""Execs in a process tree under test: their pipes, and what is told of their ends."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import attrs
from tests.process.process_kit import CAPABILITIES, Tree, until

from wherry.linux.consoles import Console
from wherry.model.names import new_id
from wherry_engine.engine.exec_processes import ExecInfo, ExecLaunch


@attrs.define
class Started:
    """An exec that runs or has run, with our ends of its streams."""

    id: str
    pid: int
    stdin: int
    stdout: int

    def output(self) -> bytes:
        """All that it writes, up to the end of its output."""
        found = b""
        while data := os.read(self.stdout, 65536):
            found += data
        return found

    def close(self) -> None:
        """Close our ends."""
        for fd in (self.stdin, self.stdout):
            os.close(fd)


class Execs:
    """The execs of one tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.ends: dict[str, ExecInfo] = {}
        self.watch()

    def watch(self) -> None:
        """Hear of ends; again after each new connection."""
        self.tree.processes.execs.ended = self._ended

    def _ended(self, info: ExecInfo) -> None:
        assert info.id not in self.ends, "told twice"
        self.ends[info.id] = info

    async def start(self, container: str, args: Sequence[str] | str, **process: Any) -> Started:
        """Start a program; a text is run by the shell."""
        id = new_id()
        described = _process(["/bin/sh", "-c", args] if isinstance(args, str) else args) | process
        memory = os.memfd_create("process", os.MFD_CLOEXEC)
        os.write(memory, json.dumps(described).encode())
        stdin, into = os.pipe2(os.O_CLOEXEC)
        out, stdout = os.pipe2(os.O_CLOEXEC)
        started = Started(id, 0, into, out)
        try:
            launch = ExecLaunch(
                id=id, container=container, runtime=self.tree.runtime, process=memory, stdio=(stdin, stdout, stdout),
                about={"said": "here"},
            )  # fmt: skip
            started.pid = await self.tree.processes.execs.start(launch)
        except BaseException:
            started.close()
            raise
        finally:
            for fd in (memory, stdin, stdout):
                os.close(fd)
        return started

    async def on_terminal(self, container: str, args: str) -> tuple[str, int]:
        """Start a program on a terminal: the exec's id, and the terminal."""
        console, id = Console(str(self.tree.root)), new_id()
        memory = os.memfd_create("process", os.MFD_CLOEXEC)
        os.write(memory, json.dumps(_process(["/bin/sh", "-c", args]) | {"terminal": True}).encode())
        try:
            launch = ExecLaunch(
                id=id, container=container, runtime=self.tree.runtime, process=memory, console=console.path, about={}
            )
            await self.tree.processes.execs.start(launch)
            terminal = console.receive()
            assert terminal is not None
            return id, terminal
        finally:
            console.close()
            os.close(memory)

    async def status(self, started: Started, seconds: float = 20) -> int:
        """The exit status, awaited."""
        await until(lambda: started.id in self.ends, seconds)
        status = self.ends[started.id].status
        assert status is not None
        return status


def _process(args: Sequence[str]) -> dict[str, Any]:
    return {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": list(args),
        "cwd": "/",
        "env": ["PATH=/bin"],
        "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")},
    }
