"""wherry exec."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import path_name
from wherry_cli.containers.checks import check_env
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AGAIN = "May be given again."
OPTIONS = (
    Option("detach", "d", "bool", "Leave the program running on its own, connected to nothing."),
    Option("detach-keys", "", "string", "Disconnect on this sequence of keys, such as 'ctrl-x,q'.", shown="ctrl-p,ctrl-q"),
    Option("env", "e", "list", f"Set an environment variable, as NAME=VALUE, or as NAME to take over this shell's value. {AGAIN}", check=check_env),
    Option("env-file", "", "list", f"Read environment variables from a file, one a line. {AGAIN}"),
    Option("interactive", "i", "bool", "Connect to the program's stdin."),
    Option("privileged", "", "bool", "Give the program every capability."),
    Option("tty", "t", "bool", "Give the program a terminal."),
    Option("user", "u", "string", "Run as this user, and group: NAME|UID[:GROUP|GID]."),
    Option("workdir", "w", "string", "The folder in the container in which the program begins."),
)  # fmt: skip


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Run a program in a container; its exit status, or 0 if it is left alone."""
    from wherry_cli.terminal import check_stdin, parse_keys, size

    keys = parse_keys(values["detach-keys"]) if values["tty"] else b""
    request = _request(app, values, arguments[1:])
    name = path_name(arguments[0])
    app.client.call("GET", f"/containers/{name}/json")  # that there is none is said before anything else
    if not values["detach"]:
        check_stdin(stdin=values["interactive"], tty=values["tty"])
    if values["tty"] and (found := size(1)) is not None:
        request["ConsoleSize"] = list(found)
    identity = app.client.call("POST", f"/containers/{name}/exec", None, request)["Id"]
    begin = {"Detach": values["detach"], "Tty": values["tty"]}
    if "ConsoleSize" in request:
        begin["ConsoleSize"] = request["ConsoleSize"]
    if values["detach"]:
        app.client.call("POST", f"/exec/{identity}/start", None, begin)
        return 0
    return _attached(app, values, identity, begin, keys)


def _request(app: App, values: Values, command: list[str]) -> dict[str, Any]:
    from wherry_cli.containers.environment import environment

    attached = not values["detach"]
    try:
        variables = environment(values["env-file"], values["env"], app.environment)
    except CliError as error:
        raise CliError(error.text) from None
    return {
        "Detach": values["detach"],
        "User": values["user"],
        "Privileged": values["privileged"],
        "Tty": values["tty"],
        "AttachStdin": attached and values["interactive"],
        "AttachStdout": attached,
        "AttachStderr": attached,
        "DetachKeys": values["detach-keys"],
        "Env": variables,
        "WorkingDir": values["workdir"],
        "Cmd": command,
    }


def _attached(app: App, values: Values, identity: str, begin: dict[str, Any], keys: bytes) -> int:
    from wherry_cli.attached import Signals, Streams
    from wherry_cli.terminal import DETACH_KEYS, parse_keys

    tty = values["tty"]
    connection = app.client.hijack(f"/exec/{identity}/start", None, begin)
    try:
        with Signals(app.client, f"/exec/{identity}", proxy=False, tty=tty) as signals:
            if tty:
                signals.first_resize()
            streams = Streams(connection, stdin=values["interactive"], tty=tty, keys=keys or parse_keys(DETACH_KEYS))
            if not streams.run():
                raise CliError("read escape sequence")
    finally:
        connection.close()
    return int(app.client.call("GET", f"/exec/{identity}/json").get("ExitCode") or 0)


EXEC = Command(
    "container exec",
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    "Run another program in a running container.",
    run,
    OPTIONS,
    least=2,
    most=-1,
    interspersed=False,
)
