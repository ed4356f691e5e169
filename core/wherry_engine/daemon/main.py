"""wherryd: the composition root. One engine a data root, its services, and the signals that end them."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from wherry.errors import Conflict, WherryError
from wherry.linux import steps
from wherry_engine.daemon.config import Config, load
from wherry_engine.daemon.notify import notify
from wherry_engine.daemon.reload import reread
from wherry_engine.daemon.services import Services
from wherry_engine.engine.engine import Engine
from wherry_engine.engine.resolv_conf import ResolvConf
from wherry_engine.engine.settings import Settings

AUDIT = "WHERRY_STEP_AUDIT"  # a file that gets a line for each side effect outside a step

log = logging.getLogger("wherryd")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until SIGTERM or SIGINT. Exit code 0, or 1 with the reason on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        config = load(arguments)
        _log_to_stderr(config)
        _audit()
        _take_descriptors()
        with ExitStack() as stack:
            _claim(config, stack)
            asyncio.run(_run(config, arguments))
    except WherryError as error:
        print(f"wherryd: {error.text}", file=sys.stderr)  # noqa: T201  there is no log to read yet
        return 1
    return 0


def _log_to_stderr(config: Config) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger().setLevel(_level(config))
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _level(config: Config) -> int | str:
    names = {"warn": logging.WARNING, "fatal": logging.CRITICAL}
    return logging.DEBUG if config.debug else names.get(config.log_level, config.log_level.upper())


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
    with steps.step("daemon.pidfile"):
        config.pidfile.write_text(f"{os.getpid()}\n")
    stack.callback(_forget, config)


def _forget(config: Config) -> None:
    with steps.step("daemon.pidfile.remove"):
        config.pidfile.unlink(missing_ok=True)


async def _run(config: Config, arguments: Sequence[str]) -> None:
    settings = Settings(
        data_root=config.data_root,
        exec_root=config.exec_root,
        storage_driver=config.storage_driver,
        defaults=config.defaults,
        labels=config.labels,
        default_runtime=config.default_runtime,
        bip=config.bip,
        dns=ResolvConf(config.dns, config.dns_search, config.dns_opts),
        driver_configs=config.driver_configs,
        preferred=config.preferred,
        trusted=config.trusted,
        environment={name: os.environ[name] for name in (AUDIT, steps.VARIABLE) if name in os.environ},
        debug=config.debug,
        live_restore=config.live_restore,
        shutdown_timeout=config.shutdown_timeout,
    )
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    engine = Engine(settings)

    def reload() -> None:
        nonlocal config
        config = reread(arguments, config)
        logging.getLogger().setLevel(_level(config))
        engine.reconfigure(
            defaults=config.defaults, labels=config.labels, live_restore=config.live_restore,
            shutdown_timeout=config.shutdown_timeout,
        )  # fmt: skip
        log.info("the configuration has been read again")

    services = Services(engine)
    services.load()
    await engine.start()
    try:
        await services.start(config)
        engine.answers()
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
