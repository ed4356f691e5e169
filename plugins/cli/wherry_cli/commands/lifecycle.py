"""wherry stop, kill, restart, rm and wait: one request for each container, many under way at once."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import path_name
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

AT_ONCE = 50

TIMEOUT = Option(
    "timeout",
    "t",
    "int",
    "Wait this many seconds for the container to end before it is killed; -1 waits for ever.",
    shown=" ",
)
OLD_TIMEOUT = Option("time", "", "int", "", target="timeout")
STOP_SIGNAL = Option("signal", "s", "string", "Send this signal first, instead of the one the container asks for.")


def _each(
    app: App,
    method: str,
    form: str,
    names: Sequence[str],
    query: Mapping[str, object],
    *,
    forgive: int = 0,
    answer: str = "",
) -> int:
    """The same request for every name; prints the name or a member of the answer. Errors with status `forgive` do not fail."""
    failed = False
    for at in range(0, len(names), AT_ONCE):
        batch = names[at : at + AT_ONCE]
        pending = [app.client.begin(method, form.format(path_name(name)), query) for name in batch]
        for name, request in zip(batch, pending, strict=True):
            try:
                found: Any = request.finish()
            except ApiError as error:
                app.say(str(error))
                failed = failed or error.status != forgive
            else:
                app.print(str(found[answer]) if answer else name)
    return 1 if failed else 0


def _stop(app: App, values: Values, arguments: list[str]) -> int:
    return _each(app, "POST", "/containers/{}/stop", arguments, _stopping(values))


def _restart(app: App, values: Values, arguments: list[str]) -> int:
    return _each(app, "POST", "/containers/{}/restart", arguments, _stopping(values))


def _stopping(values: Values) -> dict[str, object]:
    return {"t": str(values["timeout"]) if "timeout" in values.given else None, "signal": values["signal"]}


def _kill(app: App, values: Values, arguments: list[str]) -> int:
    return _each(app, "POST", "/containers/{}/kill", arguments, {"signal": values["signal"]})


def _rm(app: App, values: Values, arguments: list[str]) -> int:
    names = [name.strip("/") for name in arguments]
    if not all(names):
        raise CliError("Container name cannot be empty")
    query = {"v": values["volumes"], "link": values["link"], "force": values["force"]}
    return _each(app, "DELETE", "/containers/{}", names, query, forgive=404 if values["force"] else 0)


def _wait(app: App, values: Values, arguments: list[str]) -> int:
    return _each(app, "POST", "/containers/{}/wait", arguments, {}, answer="StatusCode")


STOP = Command(
    "container stop",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Stop running containers: ask them to end, and kill those that do not.",
    _stop,
    (STOP_SIGNAL, TIMEOUT, OLD_TIMEOUT),
    least=1,
    most=-1,
)
KILL = Command(
    "container kill",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Send a signal to running containers.",
    _kill,
    (Option("signal", "s", "string", "Send this signal, by name or number, instead of KILL."),),
    least=1,
    most=-1,
)
RESTART = Command(
    "container restart",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Stop containers that run, and start them all.",
    _restart,
    (STOP_SIGNAL, TIMEOUT, OLD_TIMEOUT),
    least=1,
    most=-1,
)
RM = Command(
    "container rm",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Remove containers.",
    _rm,
    (
        Option("force", "f", "bool", "Kill running containers first, and do not fail on missing ones."),
        Option("link", "l", "bool", "Remove the link of this name, not a container."),
        Option("volumes", "v", "bool", "Remove the containers' anonymous volumes too."),
    ),
    least=1,
    most=-1,
)
WAIT = Command(
    "container wait",
    "CONTAINER [CONTAINER...]",
    "Wait until containers have stopped and print their exit codes.",
    _wait,
    least=1,
    most=-1,
)
