"""wherry attach."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import path_name
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values

OPTIONS = (
    Option("detach-keys", "", "string", "Disconnect on this sequence of keys, such as 'ctrl-x,q'.", shown="ctrl-p,ctrl-q"),
    Option("no-stdin", "", "bool", "Do not pass this process's stdin on."),
    Option("sig-proxy", "", "bool", "Pass signals that this process gets on to the container.", True),
)  # fmt: skip


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Connect to a running container until it ends; its exit status."""
    from wherry_cli.attached import Signals, Streams, exit_status
    from wherry_cli.terminal import DETACH_KEYS, check_stdin, parse_keys

    keys = parse_keys(values["detach-keys"] or DETACH_KEYS)
    container = app.client.call("GET", f"/containers/{path_name(arguments[0])}/json")
    _check_running(container["State"])
    config, identity = container["Config"], container["Id"]
    tty, stdin = config["Tty"], config["OpenStdin"] and not values["no-stdin"]
    check_stdin(stdin=not values["no-stdin"], tty=tty)
    answer = app.client.request("POST", f"/containers/{identity}/wait")
    try:
        query = {"stream": True, "stdin": stdin, "stdout": True, "stderr": True, "detachKeys": values["detach-keys"]}
        connection = app.client.hijack(f"/containers/{identity}/attach", query)
        try:
            with Signals(app.client, f"/containers/{identity}", proxy=values["sig-proxy"], tty=tty) as signals:
                if tty:
                    signals.resize(grow=1)  # a program repaints when the size changes, so it is changed twice
                    signals.resize()
                if not Streams(connection, stdin=stdin, tty=tty, keys=keys).run():
                    raise CliError("read escape sequence")
        finally:
            connection.close()
        return exit_status(answer)
    finally:
        answer.close()


def _check_running(state: dict[str, object]) -> None:
    if not state.get("Running"):
        raise CliError("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise CliError("You cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise CliError("You cannot attach to a restarting container, wait until it is running")


ATTACH = Command(
    "container attach",
    "[OPTIONS] CONTAINER",
    "Connect this terminal to a running container.",
    run,
    OPTIONS,
    least=1,
    most=1,
)
