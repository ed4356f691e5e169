"""Containers: what the API asks of them, answered by those who create, run and stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from wherry.model.configs import Resources, RestartPolicy
from wherry.model.containers import Container, ContainerSpec, Created, ExitResult, PrunedContainers
from wherry.model.logs import LogQuery, Record
from wherry.model.stats import Stats
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_create import Creator
from wherry_engine.engine.container_files import Folders, HostFiles
from wherry_engine.engine.container_launch import Launcher
from wherry_engine.engine.container_pause import Pauser
from wherry_engine.engine.container_run import Runner
from wherry_engine.engine.container_stats import Statistics
from wherry_engine.engine.container_stop import Stopper
from wherry_engine.engine.container_streams import Attached, Streams
from wherry_engine.engine.container_update import Updater
from wherry_engine.engine.container_verbs import Verbs
from wherry_engine.engine.filters import Filters
from wherry_engine.engine.link_remove import Unlinker


class Containers:
    """The engine's containers. A `ref` is an id, a unique beginning of one, or a name."""

    def __init__(
        self, *, book: Book, creator: Creator, runner: Runner, stopper: Stopper, pauser: Pauser, updater: Updater,
        verbs: Verbs, streams: Streams, statistics: Statistics, launcher: Launcher, folders: Folders,
        unlinker: Unlinker,
    ) -> None:  # fmt: skip
        self._book, self._creator, self._runner, self._stopper = book, creator, runner, stopper
        self._pauser, self._updater, self._verbs = pauser, updater, verbs
        self._streams, self._statistics, self._launcher, self._folders = streams, statistics, launcher, folders
        self._unlinker = unlinker

    def list(self) -> Sequence[Container]:
        """All containers, newest first."""
        return self._book.list()

    def get(self, ref: str) -> Container:
        """One container. Raises `NotFound`, or `Invalid` if several match."""
        return self._book.get(ref)

    async def create(self, spec: ContainerSpec) -> Created:
        """Make a container."""
        return await self._creator.create(spec)

    async def start(self, ref: str) -> None:
        """Start it. Raises `NotModified` if it runs."""
        await self._runner.start(ref)

    async def stop(self, ref: str, timeout: int | None = None, signal: str | None = None) -> None:
        """Let it end, by force after `timeout` s. Raises `NotModified` if it does not run."""
        await self._stopper.stop(ref, timeout, signal)

    async def kill(self, ref: str, signal: str = "KILL") -> None:
        """Send it a signal. Raises `Conflict` if it does not run."""
        await self._stopper.kill(ref, signal)

    async def restart(self, ref: str, timeout: int | None = None, signal: str | None = None) -> None:
        """Stop it if it runs, and start it."""
        await self._stopper.restart(ref, timeout, signal)

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        """Remove it; `volumes` takes its anonymous volumes along. With `link`, remove the link that CONTAINER/ALIAS names."""
        if link:
            await self._unlinker.unlink(ref)
            return
        await self._stopper.remove(ref, force=force, volumes=volumes)

    async def pause(self, ref: str) -> None:
        """Freeze it. Raises `Conflict` if it does not run."""
        await self._pauser.pause(ref)

    async def unpause(self, ref: str) -> None:
        """Let it go on."""
        await self._pauser.unpause(ref)

    async def update(self, ref: str, limits: Resources, policy: RestartPolicy | None = None) -> None:
        """Change those of its limits that are given, and its restart policy."""
        await self._updater.update(ref, limits, policy)

    async def rename(self, ref: str, name: str) -> None:
        """Give it another name. Raises `Conflict` if that is taken."""
        await self._verbs.rename(ref, name)

    async def top(self, ref: str, arguments: str = "") -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Its processes, as ps shows them: titles and rows."""
        return await self._verbs.top(ref, arguments)

    async def stats(self, ref: str, *, pair: bool) -> Stats:
        """What it uses now, with a sample from shortly before if a `pair` is asked for."""
        return await self._statistics.once(ref, pair=pair)

    def watch_stats(self, ref: str) -> AsyncIterator[Stats]:
        """What it uses, each second until it is removed."""
        return self._statistics.watch(ref)

    async def prune(self, filters: Filters) -> PrunedContainers:
        """Remove those that do not run and match."""
        return await self._verbs.prune(filters)

    def wait(self, ref: str, condition: str = "not-running") -> asyncio.Future[ExitResult]:
        """Its end, counted from this call on."""
        return self._book.wait(ref, condition)

    async def attach(self, ref: str, *, stdin: bool, stdout: bool, stderr: bool) -> Attached:
        """Connect to its streams."""
        return await self._streams.attach(ref, stdin=stdin, stdout=stdout, stderr=stderr)

    def logs(self, ref: str, query: LogQuery) -> AsyncIterator[Record]:
        """Its output so far and, with `follow`, to come."""
        return self._streams.logs(ref, query)

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Tell its terminal the size."""
        await self._streams.resize(ref, height, width)

    async def size(self, ref: str) -> tuple[int, int]:
        """(bytes written by it, bytes of its whole root file system)."""
        return await self._launcher.size(self._book.get(ref))

    async def log_attributes(self, container: Container) -> Mapping[str, str]:
        """What its log's options add to each line."""
        return (await self._launcher.log_target(container)).attributes

    def sandbox_key(self, container: Container) -> str:
        """Where its network namespace shows on the host; "" for the host's own and while it does not run."""
        return self._launcher.netns(container) if container.state.alive else ""

    def log_path(self, container: Container) -> str:
        """Where its json-file log lies. As with Docker "" for any other, whose files are for no one else to read."""
        form = container.log_driver
        return str(self._folders.log(container.id, form)) if form == "json-file" else ""

    def files(self, container: Container) -> HostFiles:
        """The files that the engine wrote for it."""
        return self._folders.files(container)

    def graph(self, container: Container) -> Mapping[str, str]:
        """Where its files lie and, all together, show on the host, if the storage driver tells."""
        shown = {"MergedDir": str(self._folders.rootfs(container.id))}
        return {**container.parts, **shown} if container.parts else {}
