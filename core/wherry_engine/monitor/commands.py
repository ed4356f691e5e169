"""What an engine may ask of the monitor. Every request may be repeated: a new monitor is asked again."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wherry.errors import Conflict, Invalid, NotFound
from wherry.linux.consoles import resize
from wherry_engine.monitor import launch, remove
from wherry_engine.monitor.clients import Reply, close_fds
from wherry_engine.monitor.container import Container
from wherry_engine.monitor.ports import rows_of
from wherry_engine.monitor.protocol import VERSION
from wherry_engine.monitor.runtime import Runtime
from wherry_engine.monitor.start import start

if TYPE_CHECKING:
    from wherry_engine.monitor.main import Monitor

Arguments = dict[str, Any]


def serve(monitor: Monitor, op: str, arguments: Arguments, fds: list[int], reply: Reply) -> None:
    """Serve one request. Raises WherryError or OSError where it cannot be begun."""
    try:
        if op == "attach":
            _attach(monitor, arguments, fds, reply)
            return
        if op == "upgrade":
            monitor.begin_upgrade(arguments, reply)
            return
        if op == "exec":
            monitor.execs.start(arguments, fds, reply)
            return
        command = _COMMANDS.get(op)
        if command is None:
            raise Invalid(f"the monitor knows no request {op!r}")
        command(monitor, arguments, reply)
    finally:
        close_fds(fds)


def _known(monitor: Monitor, arguments: Arguments) -> Container:
    container = monitor.containers.get(arguments["id"])
    if container is None:
        raise NotFound(f"container {arguments['id']} has no process")
    return container


def _hello(monitor: Monitor, _: Arguments, reply: Reply) -> None:
    reply.ok(
        {
            "version": VERSION,
            "code": monitor.shared.code,
            "pid": os.getpid(),
            "containers": remove.listed(monitor),
            "execs": monitor.execs.rows(),
        }
    )


def _create(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    launch.create(monitor, arguments["id"], arguments, reply)


def _start(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    start(monitor, _known(monitor, arguments), reply)


def _kill(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    container = _known(monitor, arguments)
    if container.exit is None:
        remove.kill(container, arguments["signal"])
    elif not arguments.get("again"):  # else it may be that signal that has ended it
        raise NotFound(f"the process of container {container.id} has ended")
    reply.ok()


def _delete(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    monitor.removals.remove(arguments["id"], Runtime(arguments["runtime"], monitor.shared.root), reply)


def _attach(monitor: Monitor, arguments: Arguments, fds: list[int], reply: Reply) -> None:
    container = _known(monitor, arguments)
    if not fds:
        raise Invalid("attach needs a socket")
    sock = socket.socket(fileno=fds.pop())
    streams = frozenset(name for name in ("stdout", "stderr") if arguments[name])
    stdin = bool(arguments["stdin"])
    if stdin and container.meta["stdin_once"]:  # known to a successor: this attach is all the input there will be
        container.meta["attached"] = True
        monitor.link.tell("note", id=container.id, meta=container.meta)

    def attach() -> None:
        monitor.streams.attachments.add(container, sock, streams, stdin)
        monitor.loop.post(reply.ok)

    monitor.streams.call(attach)


def _close_stdin(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    container = _known(monitor, arguments)
    attachments = monitor.streams.attachments
    monitor.streams.call(lambda: attachments.close_stdin(container, lambda: monitor.loop.post(reply.ok)))


def _resize(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    container = _known(monitor, arguments)
    tty = container.streams.get("tty")
    if not container.tty:
        raise Invalid(f"container {container.id} has no terminal")
    if tty is None or tty.source is None or container.exit is not None:
        raise Conflict(f"container {container.id} is not running")
    resize(tty.source, arguments["height"], arguments["width"])
    reply.ok()


def _exec_kill(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    monitor.execs.kill(arguments["id"])
    reply.ok()


def _exec_forget(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    monitor.execs.forget(arguments["ids"])
    reply.ok()


def _reserve(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    monitor.ports.reserve(arguments["owner"], rows_of(arguments["ports"]), reply.ok)


def _release(monitor: Monitor, arguments: Arguments, reply: Reply) -> None:
    monitor.ports.release(arguments["owner"], reply.ok)


def _ports(monitor: Monitor, _: Arguments, reply: Reply) -> None:
    reply.ok(monitor.ports.rows())


def _list(monitor: Monitor, _: Arguments, reply: Reply) -> None:
    reply.ok(remove.listed(monitor))


_COMMANDS: dict[str, Callable[[Monitor, Arguments, Reply], None]] = {
    "hello": _hello,
    "create": _create,
    "start": _start,
    "kill": _kill,
    "delete": _delete,
    "close_stdin": _close_stdin,
    "resize": _resize,
    "exec_kill": _exec_kill,
    "exec_forget": _exec_forget,
    "reserve": _reserve,
    "release": _release,
    "ports": _ports,
    "list": _list,
}
