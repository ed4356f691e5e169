"""A host of its own for each test: a network namespace in which the test's thread, and so the drivers, run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.plugins.network.world import World, wire

from wherry.linux.namespaces import CLONE_NEWNET, create_netns, remove_netns, set_sysctl
from wherry.linux.syscalls import call


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The test runs on the world's host; whatever it makes there ends with the host."""
    with ExitStack() as stack:
        spaces = []
        for name in ("host", "far"):
            create_netns(tmp_path / name)
            stack.callback(remove_netns, tmp_path / name)
            spaces.append(os.open(tmp_path / name, os.O_RDONLY | os.O_CLOEXEC))
            stack.callback(os.close, spaces[-1])
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, home)
        call("setns", spaces[0], CLONE_NEWNET)
        stack.callback(call, "setns", home, CLONE_NEWNET)
        wire(spaces[1])
        yield World(tmp_path, spaces[0], spaces[1], stack)


@pytest.fixture(params=["0", "1"], ids=["bridged-unseen", "bridged-filtered"])
def bridge_filter(request: pytest.FixtureRequest, world: World) -> str:
    """Both ways a host can treat frames within a bridge: past the firewall, or through it (br_netfilter, as dockerd sets)."""
    set_sysctl("net/bridge/bridge-nf-call-iptables", request.param)
    return str(request.param)


@pytest.fixture
def nft() -> Callable[[str], str]:
    """Runs the host's own nft program: what it prints. The tests' view of the rules, independent of ours."""

    def run(command: str) -> str:
        return subprocess.run(["nft", *command.split()], capture_output=True, text=True, check=True).stdout

    return run
