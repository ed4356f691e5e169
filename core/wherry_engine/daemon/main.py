"""wherryd: the composition root. One engine a data root, its services, and the signals that end them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from wherry.errors import Conflict, WherryError
from wherry.linux import steps
from wherry.linux.process import share_one_heap
from wherry_engine.daemon.config import Config
from wherry_engine.daemon.config_flags import parser
from wherry_engine.daemon.config_load import configuration
from wherry_engine.daemon.daemon_log import log_to_stderr, set_level
from wherry_engine.daemon.engine_settings import engine_settings
from wherry_engine.daemon.notify import notify
from wherry_engine.daemon.reload import reread
from wherry_engine.daemon.services import Services
from wherry_engine.engine.engine import Engine

AUDIT = "WHERRY_STEP_AUDIT"  # a file that gets a line for each side effect outside a step

log = logging.getLogger("wherryd")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until SIGTERM or SIGINT. Exit code 0, or 1 with the reason on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        parsed = vars(parser().parse_args(arguments))
        config = configuration(parsed)
        if parsed["validate"]:
            print("configuration OK")  # noqa: T201  what was asked for
            return 0
        log_to_stderr(config)
        _audit()
        _take_descriptors()
        share_one_heap()
        with ExitStack() as stack:
            _claim(config, stack)
            asyncio.run(_run(config, arguments))
    except WherryError as error:
        print(f"wherryd: {error.text}", file=sys.stderr)  # noqa: T201  there is no log to read yet
        return 1
    return 0


def _audit() -> None:
    path = os.environ.get(AUDIT)
    if path:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def report(line: str) -> None:
            os.write(file, f"wherryd: {line}\n".encode())

        steps.enforce(report)


def _take_descriptors() -> None:
    """As many as are allowed: a client takes one or two, and a thousand that say nothing must keep nobody out."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _claim(config: Config, stack: ExitStack) -> None:
    """Make this the one engine of the data root, and write the pidfile. Raises `Conflict`."""
    with steps.step("daemon.claim"):
        for folder in (config.data_root, config.exec_root, config.pidfile.parent):
            folder.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context((config.data_root / "wherry.lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Conflict(
            f"another wherryd uses the data root {config.data_root}: give this one its own --data-root"
        ) from error
    if other := _owner(config.pidfile):
        raise Conflict(
            f"process with PID {other} is still running, and {config.pidfile} is its: give this engine its own --pidfile"
        )
    with steps.step("daemon.pidfile"):
        config.pidfile.write_text(f"{os.getpid()}\n")
    stack.callback(_forget, config)


def _owner(pidfile: Path) -> int:
    """The daemon that the pidfile names, if it lives; else 0. Numbers of processes are given out again."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        pid = int(pidfile.read_text())
        if pid != os.getpid() and b"wherryd" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def _forget(config: Config) -> None:
    with steps.step("daemon.pidfile.remove"):
        config.pidfile.unlink(missing_ok=True)


def _collect_cycles() -> None:
    """From now on, but not among what stays for the engine's whole life."""
    gc.freeze()
    gc.enable()


async def _run(config: Config, arguments: Sequence[str]) -> None:
    environment = {name: os.environ[name] for name in (AUDIT, steps.VARIABLE) if name in os.environ}
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    engine = Engine(engine_settings(config, environment))

    def reload() -> None:
        nonlocal config
        config = reread(arguments, config)
        set_level(config)
        engine.reconfigure(engine_settings(config, environment))
        log.info("the configuration has been read again")

    if config.idle:
        log.warning("without effect so far: %s", ", ".join(config.idle))
    services = Services(engine)
    services.load()
    await engine.start()
    try:
        await services.start(config)
        engine.answers()
        _collect_cycles()
        loop.add_signal_handler(signal.SIGHUP, reload)
        log.info("ready on %s", ", ".join(config.hosts))
        notify("READY=1")
        await ending.wait()
        notify("STOPPING=1")
        running = sum(container.state.alive for container in engine.containers.list())
        fate = "go on running" if config.live_restore else "are stopped"
        log.info("ending%s", f"; {running} containers {fate}" if running else "")
    finally:
        await services.stop()
        await engine.stop()


if __name__ == "__main__":
    sys.exit(main())
