"""A container as its monitor gives it to whoever goes on: a supervisor that holds it, or other code of the monitor."""

from __future__ import annotations

import os

from wherry_engine.monitor.container import Container
from wherry_engine.monitor.shared import Attached, Carried, Held


def _held(container: Container) -> Held:
    fds: dict[str, int] = {}
    for stream in container.streams.values():
        fds[stream.name if stream.source is None else "ttypipe"] = stream.fd
        if stream.source is not None:
            fds["tty"] = stream.source
    if container.stdin is not None:
        fds["stdin"] = container.stdin
    if container.pidfd >= 0:
        fds["pidfd"] = container.pidfd
    if container.fifo >= 0:
        fds["fifo"] = container.fifo
    entry = Held(container.id, container.pid, container.meta, fds)
    entry.exit, entry.done = container.exit, container.done
    return entry


def carried(container: Container) -> Held:
    """All that it is, for execve: nothing is closed, and those attached stay so."""
    entry = _held(container)
    attached = [
        Attached(
            peer.sock.fileno(), sorted(peer.streams), stdin=peer.stdin, half=peer.half, pending=bytes(peer.pending)
        )
        for peer in container.peers
    ]
    sent = {stream.name: stream.sent for stream in container.streams.values()}
    entry.carried = Carried(attached, sent, container.input, closing=bool(container.closing))
    return entry


def given_up(container: Container) -> Held:
    """What the supervisor holds of it, for a monitor that has become the supervisor; the rest is closed."""
    entry = _held(container)
    for stream in container.streams.values():
        if stream.into >= 0:
            os.close(stream.into)
    for peer in container.peers:
        peer.sock.close()
    if container.log is not None:
        container.log.close()
    if container.done is not None:  # its streams are those of someone who outlived the first process
        entry.let_go()
    return entry
