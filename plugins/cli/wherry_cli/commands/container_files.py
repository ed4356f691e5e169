"""wherry export, diff and commit."""

from __future__ import annotations

import os

from wherry_cli.app import App, Command
from wherry_cli.commands._common import path_name
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output_file import check_target, write_to
from wherry_cli.references import split_reference

KINDS = "CAD"


def _export(app: App, values: Values, arguments: list[str]) -> int:
    if not values["output"] and os.isatty(1):
        raise CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    check_target(values["output"], "export container")
    response = app.client.request("GET", f"/containers/{path_name(arguments[0])}/export")
    write_to(values["output"], response.pieces())
    return 0


def _diff(app: App, values: Values, arguments: list[str]) -> int:
    for each in app.client.call("GET", f"/containers/{path_name(arguments[0])}/changes") or []:
        app.print(f"{KINDS[each['Kind']]} {each['Path']}")
    return 0


def _commit(app: App, values: Values, arguments: list[str]) -> int:
    query: dict[str, object] = {
        "container": arguments[0],
        "comment": values["message"],
        "author": values["author"],
        "changes": values["change"],
        "pause": "" if values["pause"] else 0,
    }
    if len(arguments) > 1:
        query["repo"], query["tag"], digest = split_reference(arguments[1])
        if digest:
            raise CliError("cannot commit to digest reference")
    app.print(app.client.call("POST", "/commit", query)["Id"])
    return 0


EXPORT = Command(
    "container export",
    "[OPTIONS] CONTAINER",
    "Write a container's root file system to an archive.",
    _export,
    (Option("output", "o", "string", "Write the archive to this file instead of to stdout."),),
    least=1,
    most=1,
)
DIFF = Command(
    "container diff", "CONTAINER", "Show what a container changed of its image's files.", _diff, least=1, most=1
)
COMMIT = Command(
    "container commit",
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Make an image of what a container changed.",
    _commit,
    (
        Option("author", "a", "string", "Record this author."),
        Option(
            "change",
            "c",
            "list",
            "Apply an instruction such as 'CMD [\"sh\"]' or 'ENV A=1' to the image. May be repeated.",
        ),
        Option("message", "m", "string", "Record this comment."),
        Option("pause", "p", "bool", "Let the container pause meanwhile.", True),
    ),
    least=1,
    most=2,
)
