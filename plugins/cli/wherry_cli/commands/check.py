"""wherry system check: what the engine's records and the host disagree on, and its mend."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT
from wherry_cli.options import Option, Values
from wherry_cli.output.listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def _run(app: App, values: Values, arguments: list[str]) -> int:
    method, path = ("POST", "/wherry/repair") if values["repair"] else ("GET", "/wherry/check")
    found = app.client.call(method, path)
    if values["format"]:
        app.write(LISTING.render(found, format=values["format"]))
    else:
        for finding in found:
            app.print(_sentence(finding, repair=values["repair"]))
        if not found:
            app.print("Records and host agree.")
    return 0 if all(finding["Mended"] for finding in found) else 1


def _sentence(finding: Mapping[str, Any], *, repair: bool) -> str:
    if finding["Mended"]:
        end = f"mended: {finding['Mend']}"
    elif finding["Error"]:
        end = f"not mended: {finding['Error']}"
    elif finding["Mendable"] and not repair:
        end = f"--repair will {finding['Mend']}"
    else:
        end = f"left to you: {finding['Mend']}"
    return f"{finding['Kind']} {finding['Object']}: {finding['Text']} ({end})"


def _column(name: str) -> tuple[str, Any]:
    return name.upper(), lambda item, short: item[name]


LISTING = Listing(
    "*check.finding",
    {name: _column(name) for name in ("Kind", "Object", "Text", "Mend", "Mendable", "Mended", "Error")},
    ("Kind", "Object", "Text", "Mend"),
)
CHECK = Command(
    "system check",
    "[OPTIONS]",
    "Compare what the engine has recorded with what is really on the host. The exit code is 1 if anything is left.",
    _run,
    (
        LIST_FORMAT,
        Option("repair", "", "bool", "Mend what can be mended without losing anything of yours."),
    ),
)
