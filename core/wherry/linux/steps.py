"""Named steps: the only places where the engine changes the host, and the points at which a test can make it fail.

Every side effect (mkdir, rename, mount, spawn, netlink message, ...) happens inside `with step(NAME)`. A step's name is
also its failpoint: armed through the environment variable WHERRY_FAILPOINTS, a comma-separated list of
`NAME=ACTION[@PLACE]`, where ACTION is `error` (raise `Failpoint`) or `kill` (SIGKILL this process) and PLACE is
`before` or `after` (the default) the step's body. A failpoint fires once per process and arming.

`enforce` installs an audit hook that reports a side effect outside any step. Python's own audit events do not cover
ctypes calls and netlink, so `wherry.linux` and the network drivers' netlink modules announce theirs with `effect`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "WHERRY_FAILPOINTS"

# Events of CPython that change the host (see docs.python.org/3/library/audit_events.html) and our own.
PYTHON_EFFECTS = frozenset(
    {
        "os.chmod",
        "os.chown",
        "os.fork",
        "os.forkpty",
        "os.link",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "shutil.rmtree",
        "shutil.copytree",
        "subprocess.Popen",
    }
)
PREFIX = "wherry.effect."

_current: ContextVar[str | None] = ContextVar("wherry_step", default=None)
_armed: dict[str, tuple[str, str]] | None = None


class Failpoint(OSError):
    """Raised by an armed failpoint; the caller must treat it as it would treat any failure of the step."""

    def __init__(self, name: str) -> None:
        super().__init__(f"failpoint {name} is armed")
        self.name = name


def parse(text: str) -> dict[str, tuple[str, str]]:
    """`a=error,b=kill@before` as {name: (action, place)}. Raises ValueError for anything else."""
    armed: dict[str, tuple[str, str]] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = item.partition("=")
        action, _, place = rest.partition("@")
        if action not in ("error", "kill") or place not in ("", "before", "after"):
            raise ValueError(f"{item!r} is not NAME=error|kill[@before|@after]")
        armed[name] = (action, place or "after")
    return armed


def arm(text: str) -> None:
    """Arm these failpoints in this process, instead of those armed before."""
    global _armed
    _armed = parse(text)


def current() -> str | None:
    """The innermost step that this context is in."""
    return _current.get()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Let the body change the host, under this name."""
    token = _current.set(name)
    try:
        _fire(name, "before")
        yield
        _fire(name, "after")
    finally:
        _current.reset(token)


def _fire(name: str, place: str) -> None:
    if _armed is None:
        arm(os.environ.get(VARIABLE, ""))
    assert _armed is not None
    if name not in _armed or _armed[name][1] != place:
        return
    action, _ = _armed.pop(name)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise Failpoint(name)


def effect(kind: str, *details: object) -> None:
    """Announce a side effect that Python's audit hooks cannot see: `effect("mount", target)`."""
    sys.audit(PREFIX + kind, *details)


def enforce(report: Callable[[str], None]) -> None:
    """From now on call `report` with a line for each side effect of this process outside a step. Cannot be undone."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if (event in PYTHON_EFFECTS or event.startswith(PREFIX)) and _current.get() is None:
            report(f"{event} {arguments!r} outside a step")

    sys.addaudithook(hook)
