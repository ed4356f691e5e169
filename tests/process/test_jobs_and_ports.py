"""Helpers that do one job each, and the reservation of published ports."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from pathlib import Path

import pytest
from tests.process.process_kit import Scenario, Tree, until
from tests.process.upgrade_kit import copied, upgraded

from wherry.errors import Conflict, Failed, NotFound, Unavailable
from wherry.model.networks import PortMapping

pytestmark = pytest.mark.root


def helpers(supervisor: int) -> list[int]:
    """The processes below the supervisor that are named as helpers."""
    with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
        pids = [int(pid) for pid in file.read().split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "wherry-helper\n"]


def test_a_job_tells_what_a_bind_source_is(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        missing = str(tree.root / "new" / "folder")
        with pytest.raises(NotFound, match=r"bind source path does not exist: /.*/new/folder"):
            await tree.processes.job("ensure_bind", {"path": missing, "create": False})
        assert await tree.processes.job("ensure_bind", {"path": missing, "create": True}) == {"kind": "dir"}
        assert await tree.processes.job("ensure_bind", {"path": "/bin/busybox", "create": True}) == {"kind": "file"}
        assert await tree.processes.job("ensure_bind", {"path": "/dev/null", "create": True}) == {"kind": "other"}
        with pytest.raises(NotFound, match="no job"):
            await tree.processes.job("nothing", {})

    scenario(body)


def hanging_job(tree: Tree) -> tuple[dict[str, object], int, int]:
    """Arguments of a job that reads a pipe for ever, and the pipe."""
    read, write = os.pipe()
    return {"root": str(tree.root), "whiteouts": "overlay"}, read, write


def test_a_cancelled_job_is_dead_when_its_caller_goes_on(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        supervisor = (await tree.status())["pid"]
        arguments, read, write = hanging_job(tree)
        job = asyncio.ensure_future(tree.processes.job("extract_layer", arguments, (read,)))
        await until(lambda: bool(helpers(supervisor)))
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        await until(lambda: not helpers(supervisor), 0.2)
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"took longer than 0.05 s"):
            await tree.processes.job("extract_layer", arguments, (read,), deadline=0.05)
        assert time.monotonic() - began < 2
        os.close(read)
        os.close(write)

    scenario(body)


def test_the_jobs_of_an_engine_that_has_gone_are_dead_when_the_next_is_greeted(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        supervisor = (await tree.status())["pid"]
        arguments, read, write = hanging_job(tree)
        job = asyncio.ensure_future(tree.processes.job("extract_layer", arguments, (read,)))
        await until(lambda: bool(helpers(supervisor)))
        await tree.processes.close()
        await tree.connect()
        assert helpers(supervisor) == []
        with pytest.raises(Failed):
            await job
        os.close(read)
        os.close(write)

    scenario(body)


def test_ports_are_reserved_all_or_none(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        with socket.socket() as foreign:
            foreign.bind(("127.0.0.1", 0))
            foreign.listen()
            taken = foreign.getsockname()[1]
            free = PortMapping("tcp", "127.0.0.1", 47113, 80)
            with pytest.raises(Conflict, match=f"127.0.0.1:{taken}/tcp: address already in use"):
                await tree.processes.reserve_ports("one", [free, PortMapping("tcp", "127.0.0.1", taken, 80)])
            assert await tree.processes.ports() == {}
        await tree.processes.reserve_ports("one", [free])
        await tree.processes.reserve_ports("one", [free])
        with pytest.raises(Conflict, match=r"Bind for 127\.0\.0\.1:47113 failed: port is already allocated"):
            await tree.processes.reserve_ports("two", [free])
        await tree.processes.reserve_ports("two", [PortMapping("udp", "127.0.0.1", 47113, 80)])
        await tree.processes.release_ports("one")
        await tree.processes.reserve_ports("two", [free])
        assert len((await tree.processes.ports())["two"]) == 2
        await tree.processes.release_ports("two")
        await tree.processes.release_ports("two")

    scenario(body)


def test_a_thousand_ports_are_reserved_in_one_request(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        ports = [PortMapping("tcp", "127.0.0.1", port, port) for port in range(47200, 48200)]
        await tree.processes.reserve_ports("many", ports)
        await tree.kill_monitor()
        assert (await tree.processes.ports())["many"] == ports
        await tree.processes.release_ports("many")

    scenario(body)


def test_many_thousand_ports_are_one_request_and_more_than_there_is_room_for_are_refused(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        room = int(files * 0.75)
        some = min(14_000, room)
        ports = [PortMapping("tcp", "127.9.9.9", port, port) for port in range(20_000, 20_000 + some)]
        await tree.processes.reserve_ports("many", ports)
        await tree.kill_monitor()
        await tree.kill_supervisor()
        await upgraded(tree, copied(tree.root / "new", "new"))
        assert (await tree.processes.ports())["many"] == ports
        await tree.run("lives", "exit 3")
        assert (await tree.ended("lives")).status == 3
        more = [PortMapping("udp", f"127.9.{n >> 8}.{n & 255}", 1024 + n % 60_000, 1) for n in range(room - some + 1)]
        if len(more) < 200_000:  # else this host has room for more than can be asked for
            with pytest.raises(Failed, match=f"{len(more)} more host ports .* {some} are, .* leaves room for {room}"):
                await tree.processes.reserve_ports("too many", more)
        assert list(await tree.processes.ports()) == ["many"]
        await tree.processes.release_ports("many")

    scenario(body)
