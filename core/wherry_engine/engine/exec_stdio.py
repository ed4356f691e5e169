"""The streams of an exec as they are made for the runtime: the engine's ends stay here, the others go to the process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from wherry.errors import Failed
from wherry.linux.consoles import Console, Stdio, resize
from wherry.linux.steps import step
from wherry.model.execs import ExecSpec


class ExecStdio(Stdio):
    """Pipes for what is attached and /dev/null for the rest, or a terminal that the runtime makes."""

    def __init__(self, folder: Path, spec: ExecSpec) -> None:
        """`folder` is for the console socket, for as long as the start takes. Raises OSError."""
        super().__init__()
        self._spec = spec
        try:
            if spec.tty:
                with step("exec.console"):
                    self._console = Console(str(folder))
            else:
                self._pipes()
        except BaseException:
            self.abandon()
            raise

    def _pipes(self) -> None:
        for name, attached in (
            ("stdin", self._spec.stdin),
            ("stdout", self._spec.stdout),
            ("stderr", self._spec.stderr),
        ):
            if not attached:
                self.theirs.append(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
                continue
            read, write = os.pipe2(os.O_CLOEXEC)
            self.ours[name], theirs = (write, read) if name == "stdin" else (read, write)
            self.theirs.append(theirs)

    def pipe_names(self) -> frozenset[str]:
        """Our pipes, as the links in /proc/PID/fd of those who hold them call them."""
        return frozenset(f"pipe:[{os.fstat(file).st_ino}]" for file in self.ours.values())

    def _removing(self) -> AbstractContextManager[None]:
        return step("exec.console.remove")

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """While the process is being started: its terminal, if it has one, gets its size as soon as it is there."""
        console = self._console
        if console is None:
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(console.fileno(), self._receive, console)
        try:
            yield
        finally:
            loop.remove_reader(console.fileno())

    def _receive(self, console: Console) -> None:
        while (master := console.receive()) is not None:  # a start that was repeated has sent a second one
            if "tty" in self.ours:
                os.close(self.ours["tty"])
            self.ours["tty"] = master
            if self._spec.console_size != (0, 0):
                resize(master, *self._spec.console_size)

    def take(self) -> dict[str, int]:
        """The process runs: our ends, which are the caller's from now on. Raises OSError, Failed."""
        self._close_theirs()
        if self._console is not None:
            self._receive(self._console)
            if "tty" not in self.ours:
                raise Failed("the runtime has sent no terminal")
            self._close_console()
        ours, self.ours = self.ours, {}
        return ours
