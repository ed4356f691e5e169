"""wherry run and create."""

from __future__ import annotations

import os

from wherry_cli.app import PROGRAM, App, Command
from wherry_cli.containers.body import body
from wherry_cli.containers.flags import SHARED
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_client.errors import ApiError, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOT_FOUND, NOT_EXECUTABLE, REFUSED = 127, 126, 125


def _create(app: App, values: Values, arguments: list[str]) -> int:
    try:
        request = body(values, arguments[0], arguments[1:], app.environment)
    except CliError as error:
        raise _with_help(error.text, "create", error.status) from None
    app.print(create(app, values, request))
    return 0


def _run(app: App, values: Values, arguments: list[str]) -> int:
    try:
        request = body(values, arguments[0], arguments[1:], app.environment)
    except CliError as error:
        raise _with_help(error.text, "run", error.status) from None
    if values["detach"]:
        if values["attach"]:
            raise CliError("conflicting options: cannot specify both --attach and --detach")
        for name in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"):
            request.pop(name, None)
    else:
        from wherry_cli.terminal import check_stdin

        check_stdin(stdin=request.get("AttachStdin", False), tty=values["tty"])
    if values["tty"]:
        _console_size(request)
    try:
        identity = create(app, values, request)
    except (ClientError, CliError) as error:
        raise _with_help(str(error), "run", REFUSED) from None
    if values["detach"]:
        try:
            start(app, identity)
        finally:
            app.print(identity)  # the container is there, whether it runs or not
        return 0
    return _attached(app, values, request, identity)


def _with_help(text: str, verb: str, status: int) -> CliError:
    return CliError(f"{PROGRAM}: {text}\n\nRun '{PROGRAM} {verb} --help' for more information", status)


def _console_size(request: dict[str, Any]) -> None:
    from wherry_cli.terminal import size

    found = size(1)
    if found is not None:
        request["HostConfig"]["ConsoleSize"] = list(found)


def create(app: App, values: Values, request: dict[str, Any]) -> str:
    """Create the container, after a pull where --pull says so; its id. Raises ApiError, CliError."""
    if values["pull"] not in ("always", "missing", "never"):
        raise CliError(f'invalid pull option: \'{values["pull"]}\': must be one of "always", "missing" or "never"')
    path = values["cidfile"]
    if path and os.path.exists(path):
        raise CliError(f"container ID file found, make sure the other container isn't running or delete {path}")
    if values["pull"] == "always":
        _pull(app, values, request["Image"])
    query = {"name": values["name"], "platform": values["platform"]}
    try:
        answer = app.client.call("POST", "/containers/create", query, request)
    except ApiError as error:
        lacks = "no such image" in error.message.lower() or "does not match the specified platform" in error.message
        if error.status != 404 or not lacks or values["pull"] != "missing":
            raise
        from wherry_cli.references import familiar

        app.say(f"Unable to find image '{familiar(request['Image'])}' locally")
        _pull(app, values, request["Image"])
        answer = app.client.call("POST", "/containers/create", query, request)
    for warning in answer.get("Warnings") or []:
        app.say(f"WARNING: {warning}")
    identity = str(answer["Id"])
    if path:
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(identity)
        except OSError as error:
            raise CliError(
                f"failed to create the container ID file: open {path}: {(error.strerror or '').lower()}"
            ) from None
    return identity


def _pull(app: App, values: Values, image: str) -> None:
    from wherry_cli.pulling import pull

    pull(app, image, platform=values["platform"], quiet=values["quiet"])


def start(app: App, identity: str) -> None:
    """Start the container. Raises CliError with the exit status that the engine's text means."""
    try:
        app.client.call("POST", f"/containers/{identity}/start")
    except ApiError as error:
        raise _with_help(str(error), "run", failure_status(error.message)) from None
    except ClientError as error:
        raise _with_help(str(error), "run", REFUSED) from None


def failure_status(text: str) -> int:
    """127 if the program is not there, 126 if it may not be executed, 125 for all else."""
    text = text.lower()
    if (
        "executable file not found" in text
        or "no such file or directory" in text
        or "system cannot find the file specified" in text
    ):
        return NOT_FOUND
    return NOT_EXECUTABLE if "permission denied" in text or "is a directory" in text else REFUSED


def _attached(app: App, values: Values, request: dict[str, Any], identity: str) -> int:
    """Connect, then wait, then start: neither output nor exit can be missed."""
    from wherry_cli.attached import Signals, Streams, exit_status
    from wherry_cli.terminal import DETACH_KEYS, parse_keys

    tty, stdin = values["tty"], request.get("AttachStdin", False)
    wanted = {name: request.get(f"Attach{name.capitalize()}", False) for name in ("stdin", "stdout", "stderr")}
    keys = parse_keys(values["detach-keys"] or DETACH_KEYS)
    connection = app.client.hijack(
        f"/containers/{identity}/attach", {"stream": True, **wanted, "detachKeys": values["detach-keys"]}
    )
    try:
        with Signals(app.client, f"/containers/{identity}", proxy=values["sig-proxy"], tty=tty) as signals:
            condition = "removed" if values["rm"] else "next-exit"
            answer = app.client.request("POST", f"/containers/{identity}/wait", {"condition": condition})
            try:
                start(app, identity)
            except CliError:
                if values["rm"]:
                    answer.read()  # a container that could not start is removed like one that has ended
                answer.close()
                raise
            if tty:
                signals.first_resize()
            ended = Streams(connection, stdin=stdin, tty=tty, keys=keys).run(
                output=wanted["stdout"] or wanted["stderr"]
            )
            if not ended:
                answer.close()
                return 0
            return exit_status(answer)
    finally:
        connection.close()


USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"

CREATE = Command(
    "container create",
    USAGE,
    "Create a container without starting it.",
    _create,
    SHARED,
    least=1,
    most=-1,
    interspersed=False,
)
RUN = Command(
    "container run",
    USAGE,
    "Create a container from an image and start it.",
    _run,
    (
        *SHARED,
        Option("detach", "d", "bool", "Leave the container running on its own and print its id."),
        Option("sig-proxy", "", "bool", "Pass signals that this process gets on to the container.", True),
    ),
    least=1,
    most=-1,
    interspersed=False,
)
