"""Ports by the ten thousand: published in a second, or refused with the figures where files are too few."""

from __future__ import annotations

import resource

import pytest
from tests.end_to_end.exec_kit import world

pytestmark = [pytest.mark.root, pytest.mark.peer]


def test_a_range_of_many_thousand_ports_is_published_or_refused() -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with world() as engine:
        docker = engine.docker
        docker("create", "--name", "keep", "busybox")
        for count in (10_000, 20_000):
            ports = f"20000-{20_000 + count - 1}"
            done = docker("run", "-d", "--name", "many", "-p", f"{ports}:{ports}", "busybox", "sleep", "600")
            if count <= files * 3 // 4:
                assert done.status == 0, done.err
                assert docker("port", "many", str(20_000 + count - 1)).out == f"0.0.0.0:{20_000 + count - 1}\n"
            else:
                assert done.status == 125
                assert f"{count} more host ports cannot be published: 0 are, and the limit of {files} open" in done.err
            assert docker("rm", "-f", "many").status == 0
