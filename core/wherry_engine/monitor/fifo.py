"""The FIFO at which a created container's process waits until it is started, in the runtime's own folder."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from wherry_engine.monitor.container import Container
from wherry_engine.monitor.runtime import Runtime

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor


def path_of(runtime: Runtime, id: str) -> str:
    """Where it lies."""
    return f"{runtime.state_of(id)}/exec.fifo"


def open_early(runtime: Runtime, id: str) -> int:
    """Our end of a new container's FIFO, where opening it starts nothing: crun's, whose process reads. Else -1."""
    if runtime.name != "crun":
        return -1
    try:
        return os.open(path_of(runtime, id), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError as error:
        if error.errno != errno.ENXIO:  # the process has ended already
            raise
        return -1


def let_go(monitor: Monitor, container: Container) -> None:
    """It has been served: close both copies of our end."""
    if container.fifo >= 0:
        os.close(container.fifo)
        container.fifo = -1
        monitor.link.tell("drop", id=container.id, names=["fifo"])
