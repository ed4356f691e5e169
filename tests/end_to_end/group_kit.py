"""Control groups that a test names, and where containers' groups are."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.conftest import Client

from wherry.linux import cgroups

QUICK = ("--stop-signal", "KILL", "busybox", "sleep", "1000")


def places(name: str) -> list[Path]:
    """The group in each hierarchy in which it is."""
    return [path for top in cgroups.hierarchies() if (path := top / name).is_dir()]


def group_of(docker: Client, container: str) -> set[str]:
    """The paths of a running container's groups, in whatever hierarchies the runtime saw."""
    pid = docker.inspect(container)["State"]["Pid"]
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[2] for line in lines} - {"/"}
