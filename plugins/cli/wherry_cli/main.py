"""The program: global flags, one command found in the table, its module imported, its answer turned into an exit status."""

from __future__ import annotations

import os
import sys

from wherry_cli.app import PROGRAM, App
from wherry_cli.errors import CliError, FlagError
from wherry_cli.options import Option, parse
from wherry_cli.table import COMMANDS, GROUPS, canonical
from wherry_client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry_cli.app import Command
    from wherry_cli.options import Values

GLOBAL_OPTIONS = (
    Option("context", "c", "string", "Talk to the engine of this context of docker's. DOCKER_CONTEXT does the same where no host is named."),
    Option("debug", "D", "bool", "Show a traceback when the client itself fails."),
    Option("host", "H", "list", "Talk to the engine at this address: unix:///PATH or tcp://HOST:PORT. WHERRY_HOST and DOCKER_HOST are asked next."),
    Option("tls", "", "bool", "Use TLS, without checking the engine's certificate; tlsverify checks it as well."),
    Option("tlscacert", "", "string", "Trust engines whose certificate this one has signed (default ~/.docker/ca.pem)."),
    Option("tlscert", "", "string", "Show this certificate to the engine (default ~/.docker/cert.pem)."),
    Option("tlskey", "", "string", "The key of that certificate (default ~/.docker/key.pem)."),
    Option("tlsverify", "", "bool", "Use TLS and check the engine's certificate. DOCKER_TLS_VERIFY does the same."),
    Option("version", "v", "bool", "Print the version of this client and exit."),
)  # fmt: skip
COMPLETE = "__complete"  # what the scripts of `wherry completion` call


def main() -> int:
    """Run the command line of this process; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    debug = False
    try:
        values, words = parse(GLOBAL_OPTIONS, sys.argv[1:], interspersed=False)
        debug = bool(values["debug"])
        status = _dispatch(values, words)
        sys.stdout.flush()
        return status
    except FlagError as error:
        return _fail(
            f"{error}\n\nUsage:  {PROGRAM} [OPTIONS] COMMAND [ARG...]\n\nRun '{PROGRAM} --help' for more information",
            125,
        )
    except CliError as error:
        return _fail(error.text, error.status)
    except ClientError as error:
        if debug:
            raise
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("", 130)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not try to flush the rest of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141


def _fail(text: str, status: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if text:
        sys.stderr.write(text + "\n")
    return status


def _dispatch(values: Values, words: list[str]) -> int:
    if values["version"]:
        from wherry_cli.commands.version import client_version

        sys.stdout.write(f"Wherry version {client_version()}\n")
        return 0
    if len(values["host"]) > 1:
        raise CliError("Specify only one -H")
    if values["host"] and values["context"]:
        raise CliError("conflicting options: cannot specify both --host and --context")
    if not words or "help" in values.given:
        return _help(words)
    if words[0] == "help":
        return _help(words[1:])
    app = App(values["host"][0] if values["host"] else None, flags=values)
    try:
        if words[0] == COMPLETE:
            from wherry_cli.complete import complete

            return complete(app, words[1:])
        return _run(app, words)
    finally:
        app.close()


def _help(words: Sequence[str]) -> int:
    """The help of the program, a group or a command."""
    from wherry_cli.help import command_help, group_help, program_help

    path = " ".join(words)
    if not path:
        sys.stdout.write(program_help(GLOBAL_OPTIONS))
    elif path in GROUPS:
        sys.stdout.write(group_help(path))
    elif (name := canonical(path)) is not None:
        sys.stdout.write(command_help(load(name), path))
    else:
        raise _unknown(words)
    return 0


def _run(app: App, words: list[str]) -> int:
    path, rest = words[0], words[1:]
    if path in GROUPS and canonical(path) is None:
        if not rest or rest[0] in ("--help", "-h", "help"):
            return _help([path, *rest[1:]])
        if rest[0].startswith("-"):
            raise CliError(_with_usage(f"unknown flag: {rest[0]}", path, "COMMAND"), 125)
        path, rest = f"{path} {rest[0]}", rest[1:]
    name = canonical(path)
    if name is None:
        raise _unknown(path.split())
    command = load(name)
    try:
        values, arguments = parse(command.options, rest, interspersed=command.interspersed)
    except FlagError as error:
        raise CliError(_with_usage(str(error), path, command.usage), 125) from None
    if "help" in values.given:
        return _help(path.split())
    _check_count(command, path, arguments)
    return command.run(app, values, arguments)


def load(name: str) -> Command:
    """The Command with that canonical name."""
    from importlib import import_module

    module, attribute, _ = COMMANDS[name]
    command: Command = getattr(import_module(f"wherry_cli.commands.{module}"), attribute)
    return command


def _unknown(words: Sequence[str]) -> CliError:
    if len(words) > 1 and words[0] in GROUPS:
        text = f"{PROGRAM}: unknown command: {PROGRAM} {' '.join(words[:2])}"
        return CliError(
            f"{text}\n\nUsage:  {PROGRAM} {words[0]}\n\nRun '{PROGRAM} {words[0]} --help' for more information"
        )
    return CliError(f"{PROGRAM}: unknown command: {PROGRAM} {words[0]}\n\nRun '{PROGRAM} --help' for more information")


def _with_usage(text: str, path: str, usage: str, verb: str = "Run") -> str:
    return (
        f"{text}\n\nUsage:  {PROGRAM} {path} {usage}".rstrip()
        + f"\n\n{verb} '{PROGRAM} {path} --help' for more information"
    )


def _check_count(command: Command, path: str, arguments: Sequence[str]) -> None:
    """Refuse too few or too many words, in Docker's terms."""
    count, least, most = len(arguments), command.least, command.most
    if count >= least and (most < 0 or count <= most):
        return
    if most == 0:
        problem = "accepts no arguments"
    elif least == most:
        problem = f"requires {_arguments(least)}"
    elif most < 0:
        problem = f"requires at least {_arguments(least)}"
    elif least == 0:
        problem = f"requires at most {_arguments(most)}"
    else:
        problem = f"requires at least {least} and at most {_arguments(most)}"
    text = f"{PROGRAM}: '{PROGRAM} {path}' {problem}"
    raise CliError(_with_usage(text, path, command.usage, "See" if most < 0 else "Run"))


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"
