"""wherry logs."""

from __future__ import annotations

import sys

from wherry_cli.app import App, Command
from wherry_cli.commands._common import path_name
from wherry_cli.commands.events import moment
from wherry_cli.options import Option, Values
from wherry_cli.streams import Demultiplexer, write_all

OPTIONS = (
    Option("details", "", "bool", "Show the attributes that the log driver was asked to record too."),
    Option("follow", "f", "bool", "Go on with what the container writes from now on."),
    Option("since", "", "string", "Begin with what was written then: a duration back from now, a unix time or a date."),
    Option("tail", "n", "string", "Begin with this many lines from the end.", "all"),
    Option("timestamps", "t", "bool", "Put the time in front of each line."),
    Option("until", "", "string", "End with what was written then."),
)


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Write a container's log to stdout and stderr."""
    container = app.client.call("GET", f"/containers/{path_name(arguments[0])}/json")
    query = {
        "stdout": True,
        "stderr": True,
        "since": moment(values["since"]),
        "until": moment(values["until"]),
        "timestamps": values["timestamps"],
        "follow": values["follow"],
        "tail": values["tail"],
        "details": values["details"],
    }
    response = app.client.request("GET", f"/containers/{container['Id']}/logs", query)
    sys.stdout.flush()
    demultiplexer = Demultiplexer()
    try:
        for piece in response.pieces():
            if container["Config"]["Tty"]:
                write_all(1, piece)
            else:
                demultiplexer.feed(piece)
    finally:
        response.close()
    return 0


LOGS = Command(
    "container logs", "[OPTIONS] CONTAINER", "Show what a container has written.", run, OPTIONS, least=1, most=1
)
