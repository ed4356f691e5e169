"""Small programs of the host that are asked something and answer at once: where they are and what they print."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from wherry.errors import Unavailable, Unsupported

# A service's PATH often lacks sbin, where distributions put some runtimes.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find(name: str) -> str | None:
    """The absolute path of a program on PATH or in an sbin folder; None if there is none."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    found = shutil.which(name, path=path)
    return os.path.abspath(found) if found else None


def required(name: str, *, package: str = "") -> str:
    """Its absolute path. Raises `Unsupported` if it is not on this host, with the package that brings it, if one is named."""
    program = find(name)
    if program is None:
        raise Unsupported(f"there is no {name} on this host" + (f"; install the package {package}" if package else ""))
    return program


def output(argv: Sequence[str], *, seconds: float = 10.0) -> str:
    """What the program prints. Raises `Unavailable` if it fails, or takes longer than `seconds` and was killed."""
    status, printed, complaint = attempt(argv, seconds=seconds)
    if status:
        raise Unavailable(f"{argv[0]} failed with status {status}: {complaint.strip()}")
    return printed


def attempt(argv: Sequence[str], *, seconds: float = 10.0) -> tuple[int, str, str]:
    """(status, stdout, stderr) of the program. Raises `Unavailable` if it cannot be run or takes too long."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds,
            check=False,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, OSError) as error:
        raise Unavailable(f"{argv[0]} does not answer: {error}") from error
    return done.returncode, done.stdout, done.stderr
