"""How many host ports can be reserved: what the limit of open files leaves room for, and no port more."""

from __future__ import annotations

import resource

import pytest
from tests.process.process_kit import Scenario, Tree

from wherry.errors import Failed
from wherry.model.networks import PortMapping

pytestmark = pytest.mark.root


def ports(count: int) -> list[PortMapping]:
    """So many, at an address where nobody else is."""
    return [PortMapping("tcp", "127.9.9.9", port, port) for port in range(20_000, 20_000 + count)]


def test_more_ports_than_there_is_room_for_are_refused_with_the_figures(scenario: Scenario) -> None:
    async def body(tree: Tree) -> None:
        resource.prlimit((await tree.status())["monitor"], resource.RLIMIT_NOFILE, (400, 400))
        refusal = (
            r"^200 more host ports .*: 101 are, and the limit of 400 open files leaves room for 300; .*LimitNOFILE"
        )
        await tree.processes.reserve_ports("one", ports(101))
        with pytest.raises(Failed, match=refusal):
            await tree.processes.reserve_ports(
                "two", [PortMapping("udp", "127.9.9.9", 1024 + n, 1) for n in range(200)]
            )
        await tree.processes.reserve_ports("one", ports(300))  # of which it has some already
        assert {owner: len(rows) for owner, rows in (await tree.processes.ports()).items()} == {"one": 300}
        await tree.run("lives", "exit 3")
        assert (await tree.ended("lives")).status == 3
        await tree.processes.release_ports("one")

    scenario(body)
