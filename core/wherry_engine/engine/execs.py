"""Execs: further programs in running containers. What is known of them is volatile, as they are.

An exec that runs is learnt again from the monitor by the next engine, without its streams. One that has ended is
remembered for a while, for clients that ask for its exit code.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import attrs
import orjson

from wherry.errors import Conflict, Failed, Invalid, NotFound, Unavailable, WherryError
from wherry.linux.process_trees import end_tree
from wherry.linux.users import resolve_user
from wherry.model.containers import Container
from wherry.model.execs import Exec, ExecSpec
from wherry.model.names import new_id
from wherry_engine.engine.bundle_process import exec_process
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_files import Folders
from wherry_engine.engine.exec_processes import ExecInfo, ExecLaunch, ExecProcesses
from wherry_engine.engine.exec_stdio import ExecStdio
from wherry_engine.engine.exec_streams import ExecStreams
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.runtimes import Runtimes
from wherry_engine.engine.start_errors import exec_error, exec_failure_code
from wherry_engine.state.codec import from_data, to_data
from wherry_engine.work import Pool

KEPT = 300.0  # s that an ended exec can be inspected
OPEN = 2.0  # s that output may stay open after the end: another process may hold the pipe
NOT_STARTED = 126
READY = 10.0  # s that a resize waits for the start

T = TypeVar("T")
log = logging.getLogger(__name__)


@attrs.define(eq=False)
class _Known:
    """One exec."""

    shown: Exec
    container: Container  # as it was then
    streams: ExecStreams | None = None
    pipes: frozenset[str] = frozenset()  # that the engine has made for it, as /proc calls them
    started: asyncio.Event = attrs.field(factory=asyncio.Event)


class Execs:
    """The engine's execs, by id."""

    def __init__(
        self, book: Book, runtimes: Runtimes, folders: Folders, processes: ExecProcesses, groups: Groups
    ) -> None:
        self._book, self._runtimes, self._folders, self._processes = book, runtimes, folders, processes
        self._groups = groups
        self._all: dict[str, _Known] = {}
        self._open: dict[str, dict[str, _Known]] = {}  # those that have not ended, by container
        self._pool = Pool("execs", 4)
        self._tasks: set[asyncio.Task[Any]] = set()
        processes.ended = self._ended

    # --- asking ---

    def get(self, id: str) -> Exec:
        """One exec. Raises `NotFound`, also once its container is gone."""
        return self._find(id).shown

    def ids(self, container: Container) -> Sequence[str]:
        """The execs of a container that have not ended."""
        opened = self._open.get(container.id, {})
        return [id for id, each in opened.items() if not self._stale(each)]

    def _find(self, id: str) -> _Known:
        known = self._all.get(id)
        if known is None or self._stale(known):
            raise NotFound(f"No such exec instance: {id}")
        return known

    def _stale(self, known: _Known) -> bool:
        """Whether its container is gone, or has ended before the exec began."""
        now = self._book.table.get(known.container.id)
        if now is None:
            return True
        begun = known.shown.running or known.shown.exit_code is not None
        same_run = now.state.alive and now.state.started_ns == known.container.state.started_ns
        return not begun and not same_run

    def _active(self, ref: str) -> Container:
        """The container, in which something can be executed. Raises `NotFound`, `Conflict`."""
        container = self._book.get(ref)
        if not container.running:
            raise Conflict(f"container {container.id} is not running")
        if container.state.status == "paused":
            raise Conflict(f"Container {ref} is paused, unpause the container before exec")
        if container.state.status == "restarting":
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        return container

    def check(self, id: str) -> Exec:
        """The exec, which may be started. Raises `NotFound`; `Conflict` if it has been, or its container does not run."""
        known = self._find(id)
        self._active(known.container.id)
        if known.shown.exit_code is not None:
            raise Conflict(f"error: Exec command {id} has already run")
        if known.shown.running:
            raise Conflict(f"error: Exec command {id} is already running")
        return known.shown

    # --- creating and starting ---

    def create(self, ref: str, spec: ExecSpec) -> str:
        """Note what is to be executed; the exec's id. Raises `NotFound`, `Conflict`, `Invalid`."""
        container = self._active(ref)
        if not spec.command:
            raise Invalid("No exec command specified")
        self._forget_stale()
        filled = attrs.evolve(
            spec,
            user=spec.user or container.config.user,
            working_dir=spec.working_dir or container.config.working_dir,
        )
        id = new_id()
        known = _Known(Exec(id=id, container_id=container.id, spec=filled), container)
        self._add(known)
        self._emit(known, f"exec_create: {_words(filled)}")
        return id

    def _add(self, known: _Known) -> None:
        self._all[known.shown.id] = known
        self._open.setdefault(known.container.id, {})[known.shown.id] = known

    def _closed(self, known: _Known) -> None:
        opened = self._open.get(known.container.id, {})
        opened.pop(known.shown.id, None)
        if not opened:
            self._open.pop(known.container.id, None)

    def _forget_stale(self) -> None:
        """Those that were never started, and never will be."""
        stale = [each for opened in self._open.values() for each in opened.values() if self._stale(each)]
        for known in stale:
            if not known.shown.running:
                del self._all[known.shown.id]
                self._closed(known)

    async def start(self, id: str, console_size: tuple[int, int] = (0, 0)) -> ExecStreams:
        """Begin it; its streams, of which nothing is lost before somebody listens. Raises as `check`, and why it failed.

        A start that has begun comes to its end; if its caller has left by then, so does the process.
        """
        self.check(id)
        known = self._all[id]
        spec = known.shown.spec
        if console_size != (0, 0):
            spec = attrs.evolve(spec, console_size=console_size)
        known.shown = attrs.evolve(known.shown, running=True, spec=spec)
        self._emit(known, f"exec_start: {_words(spec)}")
        starting = self._in_background(self._begin(known))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._in_background(self._unwanted(id, starting))
            raise

    async def _unwanted(self, id: str, starting: asyncio.Task[ExecStreams]) -> None:
        await asyncio.wait({starting})
        with suppress(WherryError, OSError):  # then there is nothing to end
            starting.result()
            await self.end(id)

    async def _begin(self, known: _Known) -> ExecStreams:
        id = known.shown.id
        try:
            known.streams = await self._launch(known)
        except OSError as error:  # the operating system's word on one of our own steps
            self._over(known, NOT_STARTED)
            raise Failed(f"failed to start exec {id}: {error}") from error
        except WherryError as error:
            self._over(known, exec_failure_code(error))
            self._forget(id)  # a monitor that has died over it is remembered
            raise
        finally:
            known.started.set()
        if known.shown.exit_code is not None:  # told before the start was answered
            self._finish(known)
        return known.streams

    async def _launch(self, known: _Known) -> ExecStreams:
        container, spec = known.container, known.shown.spec
        _, runtime = await self._runtimes.get(container.runtime)
        process = await self._pool.run("exec.render", lambda: self._render(container, spec))
        stdio = None
        try:
            stdio = ExecStdio(self._folders.bundle(container.id), spec)
            known.pipes = stdio.pipe_names()
            launch = ExecLaunch(
                id=known.shown.id,
                container=container.id,
                runtime=runtime,
                process=process,
                stdio=tuple(stdio.theirs),
                console=stdio.console_path,
                about={"container": container.id, "spec": to_data(spec)},
            )
            try:
                with stdio.receiving():
                    pid = await self._processes.start(launch)
            except Failed as error:
                raise exec_error(spec, error) from error
            known.shown = attrs.evolve(known.shown, pid=pid)
            return await self._connect(launch.id, spec, stdio)
        finally:
            os.close(process)
            if stdio is not None:
                stdio.abandon()

    async def _connect(self, id: str, spec: ExecSpec, stdio: ExecStdio) -> ExecStreams:
        try:
            streams = ExecStreams(tty=spec.tty)
            await streams.open(stdio.take())
        except (WherryError, OSError):
            await self._processes.kill(id)  # it runs, and nobody can talk to it
            raise
        return streams

    def _render(self, container: Container, spec: ExecSpec) -> int:
        """The OCI process, in a file in memory."""
        user = resolve_user(self._folders.rootfs(container.id), spec.user, container.host.group_add or ())
        text = orjson.dumps(exec_process(container, spec, user))
        file = os.memfd_create("exec", os.MFD_CLOEXEC)
        try:
            os.write(file, text)
        except BaseException:
            os.close(file)
            raise
        return file

    async def resize(self, id: str, height: int, width: int) -> None:
        """Tell its terminal the size, once it has one. Raises as `check`."""
        known = self._find(id)
        self._active(known.container.id)
        try:
            await asyncio.wait_for(known.started.wait(), READY)
        except TimeoutError:
            raise Unavailable("timeout waiting for exec session ready") from None
        if known.streams is not None:
            known.streams.resize(height, width)

    async def end(self, id: str) -> None:
        """End it and all that it has started, by SIGKILL; succeeds if nothing of that is left."""
        known = self._all.get(id)
        try:
            if known is not None:
                await self._end_tree(known)
        finally:
            await self._processes.kill(id)

    async def _end_tree(self, known: _Known) -> None:
        container, pid = known.container, known.shown.pid if known.shown.running else 0
        group = self._groups.of(container)
        await self._pool.run("exec.end", lambda: end_tree(pid, group, known.pipes, container.state.pid))

    def probes(self) -> Sequence[str]:
        """Those of health checks that run."""
        return [id for id, known in self._all.items() if known.shown.running and known.shown.spec.probe]

    def detached(self, id: str) -> None:
        """A client has left it by the detach keys."""
        self._emit(self._find(id), "exec_detach")

    # --- the end ---

    def _ended(self, info: ExecInfo) -> None:
        known = self._all.get(info.id)
        if known is not None and known.shown.exit_code is None:
            status = 255 if info.status is None else info.status
            self._over(known, status)
            if info.error:
                log.warning("exec %s: %s", info.id, info.error)
            self._emit(known, "exec_die", exitCode=str(status))
            if known.streams is not None:
                self._finish(known)
        self._forget(info.id)

    def _over(self, known: _Known, status: int) -> None:
        known.shown = attrs.evolve(known.shown, running=False, exit_code=status)
        self._closed(known)
        asyncio.get_running_loop().call_later(KEPT, self._all.pop, known.shown.id, None)

    def _finish(self, known: _Known) -> None:
        assert known.streams is not None
        known.streams.finish()
        asyncio.get_running_loop().call_later(OPEN, known.streams.close)

    def _forget(self, id: str) -> None:
        async def forget() -> None:
            with suppress(Unavailable):  # a monitor that has died remembers nothing, or is told with the container
                await self._processes.forget(id)

        self._in_background(forget())

    def _in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def adopt(self) -> None:
        """At the engine's start: what an earlier one has started, and nobody is connected to any more."""
        for info in self._processes.found:
            container = self._book.table.get(info.about["container"])
            if info.status is not None or container is None:
                self._forget(info.id)
                continue
            spec = from_data(info.about["spec"], ExecSpec)
            shown = Exec(id=info.id, container_id=container.id, spec=spec, pid=info.pid, running=True)
            known = _Known(shown, container)
            known.started.set()
            self._add(known)

    def close(self) -> None:
        """The engine ends: nobody reads or writes any more."""
        for known in self._all.values():
            if known.streams is not None:
                known.streams.close()
        self._pool.close()

    def _emit(self, known: _Known, action: str, **more: str) -> None:
        container = self._book.table.get(known.container.id) or known.container
        self._book.emit(action, container, execID=known.shown.id, **more)


def _words(spec: ExecSpec) -> str:
    """As events say it: with a space even where no argument follows."""
    return f"{spec.command[0]} {' '.join(spec.command[1:])}"
