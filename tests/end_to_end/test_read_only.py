"""Read-only roots and binds, of folders and of single files, under either runtime."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.peer]


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_what_is_read_only_is_and_shows_all_the_same(docker: list[str], tmp_path: Path, runtime: str) -> None:
    (tmp_path / "file").write_text("of the host\n")
    binds = ["-v", f"{tmp_path}/file:/one:ro", "-v", f"{tmp_path}:/all:ro", "-v", "data:/data"]
    script = "cat /one /all/file; hostname -f >/dev/null; for f in /x /one /all/y /etc/hosts; do (echo > $f) 2>&1; done; echo z > /data/z"
    command = [
        *docker,
        "run",
        "--rm",
        "--runtime",
        runtime,
        "--read-only",
        "-h",
        "box",
        *binds,
        "busybox",
        "sh",
        "-c",
        script,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["of the host"] * 2
    assert [line.endswith("Read-only file system") for line in lines[2:]] == [True] * 4
