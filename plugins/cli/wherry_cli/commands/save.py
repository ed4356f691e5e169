"""wherry save."""

from __future__ import annotations

import os

from wherry_cli.app import App, Command
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output_file import check_target, write_to


def _save(app: App, values: Values, arguments: list[str]) -> int:
    if not values["output"] and os.isatty(1):
        raise CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    check_target(values["output"], "save image")
    query: dict[str, object] = {"names": arguments}
    if values["platform"]:
        from wherry_cli.references import platform_json

        query["platform"] = platform_json(values["platform"])
    response = app.client.request("GET", "/images/get", query)
    write_to(values["output"], response.pieces())
    return 0


SAVE = Command(
    "image save",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Write images to an archive.",
    _save,
    (
        Option("output", "o", "string", "Write the archive to this file instead of to stdout."),
        Option("platform", "", "string", "Save only the image for this platform, as OS/ARCHITECTURE[/VARIANT]."),
    ),
    least=1,
    most=-1,
)
