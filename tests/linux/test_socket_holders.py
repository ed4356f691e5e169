"""Who holds a listener: what is told of processes that we may look into, and of those that we may not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.linux import sockets

pytestmark = pytest.mark.root

# As root without CAP_SYS_PTRACE and its like: whoever has more is not to be looked into, as a few are on some hosts.
WEAK = ("setpriv", "--bounding-set", "-sys_ptrace,-dac_override,-dac_read_search", "--inh-caps", "-all")
FIND = """
import os, sys
from wherry.linux import sockets
listener = sockets.listen(sys.argv[1])
try:
    os.readlink(f"/proc/{os.getppid()}/fd/0")
except PermissionError:
    print(sockets.holders(sys.argv[1]) == {os.getpid()})
"""


def test_a_listener_is_told_with_all_who_hold_it(tmp_path: Path) -> None:
    path = str(tmp_path / "door")
    assert sockets.holders(path) == set()
    with sockets.listen(path):
        child = os.fork()
        if not child:
            signal.pause()
        try:
            assert sockets.holders(path) == {os.getpid(), child}
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_process_that_may_not_be_looked_into_is_passed_over(tmp_path: Path) -> None:
    told = subprocess.run(
        [*WEAK, sys.executable, "-c", FIND, str(tmp_path / "door")], capture_output=True, text=True, timeout=30
    )
    assert (told.stdout, told.stderr) == ("True\n", "")
