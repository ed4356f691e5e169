"""The engine's side of execs: what it asks of the monitor, and what the monitor tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from wherry.model.runtimes import Runtime
from wherry_engine.engine.process_link import Connection

LOST = 255


@attrs.frozen(kw_only=True)
class ExecLaunch:
    """A process to be started in a running container. `about` comes back in `ExecInfo`."""

    id: str
    container: str
    runtime: Runtime
    process: int  # a descriptor of the OCI process in JSON
    stdio: Sequence[int] = ()  # 0, 1 and 2 of a process without a terminal
    console: str = ""  # the path of the socket that takes the terminal of one with it
    about: Mapping[str, Any]


@attrs.frozen
class ExecInfo:
    """An exec that the monitor knows. `status` is None while it runs, else as of a container's exit."""

    id: str
    pid: int
    status: int | None
    error: str
    about: Mapping[str, Any]


class ExecProcesses:
    """The execs of one monitor."""

    def __init__(self, monitor: Connection) -> None:
        self._monitor = monitor
        self._watched: dict[str, bool] = {}  # by id: whether its start has been answered
        self.found: tuple[ExecInfo, ...] = ()  # what there was when the first monitor answered: an earlier engine's
        self._greeted_once = False
        self.ended: Callable[[ExecInfo], None] = lambda _: None  # called once for each end

    async def start(self, launch: ExecLaunch) -> int:
        """Start a process; its pid. Raises Failed with the runtime's last error, Conflict if the container has ended."""
        self._watched[launch.id] = False  # its end may be told before its start is answered
        try:
            pid = await self._monitor.call(
                "exec",
                fds=[launch.process, *launch.stdio],
                id=launch.id,
                container=launch.container,
                runtime={"argv": launch.runtime.argv, "hide_unified_cgroup": launch.runtime.hide_unified_cgroup},
                console=launch.console,
                about=launch.about,
            )
        except BaseException:
            self._watched.pop(launch.id, None)
            raise
        if launch.id in self._watched:
            self._watched[launch.id] = True
        return int(pid)

    async def kill(self, id: str) -> None:
        """End one by SIGKILL; succeeds if it has ended."""
        await self._monitor.call("exec_kill", id=id)

    async def forget(self, id: str) -> None:
        """The end of this one is known, and the monitor need not remember it."""
        await self._monitor.call("exec_forget", ids=[id])

    def event(self, row: Mapping[str, Any]) -> None:
        """The monitor tells of an end."""
        self._tell(_info(row))

    def _tell(self, info: ExecInfo) -> None:
        if self._watched.pop(info.id, None) is not None:
            self.ended(info)

    def greeted(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """A monitor has answered, with what it knows. What has ended while there was none is told now."""
        known = {row["id"]: _info(row) for row in rows}
        if not self._greeted_once:
            self._greeted_once = True
            self.found = tuple(known.values())
            self._watched = {id: True for id, info in known.items() if info.status is None}
            return
        for info in known.values():
            if info.status is not None:
                self._tell(info)
        for id in [id for id, answered in self._watched.items() if answered and id not in known]:
            self._tell(ExecInfo(id, 0, LOST, "the processes that watched it were killed", {}))


def _info(row: Mapping[str, Any]) -> ExecInfo:
    exit = row["exit"] or {"status": None, "error": ""}
    return ExecInfo(row["id"], row["pid"], exit["status"], exit["error"], row["about"])
