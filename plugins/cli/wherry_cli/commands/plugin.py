"""wherry plugin ls and inspect: the installed drivers. They need no engine, and alone may import its loader.

An engine that answers knows what became of its drivers; without one, they are those installed here, and not loaded.
"""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import INSPECT_FORMAT_HELP, LIST_FORMAT
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output.listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry_engine.loader.report import PluginDetail, PluginRow


def _rows(app: App) -> Sequence[PluginRow]:
    """The engine's list, or that of this installation where no engine of ours answers."""
    from wherry_client.errors import ApiError, CannotConnect
    from wherry_engine.loader.report import PluginRow, rows

    try:
        answer = app.client.call("GET", "/wherry/plugins")
    except CannotConnect:
        return rows()
    except ApiError as error:
        if error.status == 404:  # another engine's daemon
            return rows()
        raise
    return [PluginRow(**{name.lower(): value for name, value in item.items()}) for item in answer]


def _ls(app: App, values: Values, arguments: list[str]) -> int:
    found = _rows(app)
    app.write(LISTING.render(found, format=values["format"], quiet=values["quiet"]))
    return 0


def _inspect(app: App, values: Values, arguments: list[str]) -> int:
    from wherry.errors import WherryError
    from wherry_cli.commands.inspect import show
    from wherry_cli.output.jsontext import compact
    from wherry_engine.loader.report import detail, find

    known = {(row.family, row.name, row.distribution): row for row in _rows(app)}

    def details(name: str) -> str:
        try:
            entry = find(name)
            row = known.get((entry.family, entry.name, entry.distribution))
            return compact(as_json(detail(entry), row.state if row else "not loaded", row.reason if row else ""))
        except WherryError as error:
            raise CliError(f"Error: {error.text}") from None

    return show(app, arguments, values["format"], details)


def as_json(found: PluginDetail, state: str, reason: str) -> dict[str, Any]:
    """What inspect shows of a driver, in the API's spelling."""
    entry = found.entry
    return {
        "Family": entry.family,
        "Name": entry.name,
        "Version": entry.version,
        "Distribution": entry.distribution,
        "State": state,
        "Reason": reason,
        "Class": entry.value,
        "Summary": found.summary,
        "Features": list(found.features),
        "Hooks": [
            {
                "Name": hook.name,
                "Arguments": list(hook.arguments),
                "Required": hook.required,
                "Implemented": hook.implemented,
                "Summary": hook.summary,
            }
            for hook in found.hooks
        ],
        "Options": {
            scope: [
                {
                    "Name": option.key,
                    "Help": option.help,
                    "Required": option.required,
                    "Default": option.default,
                    "Choices": list(option.choices),
                    "Secret": option.secret,
                }
                for option in options
            ]
            for scope, options in found.options.items()
        },
    }


LISTING = Listing(
    "*plugin.row",
    {
        "ID": ("PLUGIN", lambda item, short: f"{item.family}/{item.name}"),
        "Family": ("FAMILY", lambda item, short: item.family),
        "Name": ("NAME", lambda item, short: item.name),
        "Version": ("VERSION", lambda item, short: item.version),
        "Distribution": ("DISTRIBUTION", lambda item, short: item.distribution),
        "State": ("STATE", lambda item, short: item.state),
        "Reason": ("REASON", lambda item, short: item.reason),
    },
    ("Family", "Name", "Version", "Distribution", "State", "Reason"),
)

LS = Command(
    "plugin ls",
    "[OPTIONS]",
    "List the installed drivers and their state.",
    _ls,
    (LIST_FORMAT, Option("quiet", "q", "bool", "Print only names, as FAMILY/NAME.")),
)
INSPECT = Command(
    "plugin inspect",
    "[OPTIONS] [FAMILY/]NAME [[FAMILY/]NAME...]",
    "Show what a driver offers: its hooks, features and options.",
    _inspect,
    (Option("format", "f", "string", INSPECT_FORMAT_HELP),),
    least=1,
    most=-1,
)
