"""wherry start."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import path_name
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_client.errors import ApiError

OPTIONS = (
    Option("attach", "a", "bool", "Connect to the container's output, and pass signals on to it."),
    Option(
        "detach-keys", "", "string", "Disconnect on this sequence of keys, such as 'ctrl-x,q'.", shown="ctrl-p,ctrl-q"
    ),
    Option("interactive", "i", "bool", "Connect to the container's stdin."),
)


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Start containers; with -a or -i one, whose exit status it is."""
    if values["attach"] or values["interactive"]:
        if len(arguments) > 1:
            raise CliError("you cannot start and attach multiple containers at once")
        return _attached(app, values, arguments[0])
    failed = []
    for name in arguments:
        try:
            app.client.call("POST", f"/containers/{path_name(name)}/start")
        except ApiError as error:
            app.say(str(error))
            failed.append(name)
        else:
            app.print(name)
    if failed:
        raise CliError(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _attached(app: App, values: Values, name: str) -> int:
    from wherry_cli.attached import Signals, Streams, exit_status
    from wherry_cli.terminal import DETACH_KEYS, check_stdin, parse_keys

    keys = parse_keys(values["detach-keys"] or DETACH_KEYS)
    container = app.client.call("GET", f"/containers/{path_name(name)}/json")
    config, identity = container["Config"], container["Id"]
    tty, stdin = config["Tty"], config["OpenStdin"] and values["interactive"]
    check_stdin(stdin=stdin, tty=tty)
    query = {"stream": True, "stdin": stdin, "stdout": True, "stderr": True, "detachKeys": values["detach-keys"]}
    connection = app.client.hijack(f"/containers/{identity}/attach", query)
    try:
        with Signals(app.client, f"/containers/{identity}", proxy=True, tty=tty) as signals:
            condition = "removed" if container["HostConfig"]["AutoRemove"] else "next-exit"
            answer = app.client.request("POST", f"/containers/{identity}/wait", {"condition": condition})
            try:
                app.client.call("POST", f"/containers/{identity}/start")
                if tty:
                    signals.first_resize()
                if not Streams(connection, stdin=stdin, tty=tty, keys=keys).run():
                    return 0
                return exit_status(answer)
            finally:
                answer.close()
    finally:
        connection.close()


START = Command(
    "container start",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Start containers that are not running.",
    run,
    OPTIONS,
    least=1,
    most=-1,
)
