"""wherry volume create, ls and rm."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT, each, filters, pairs, path_name
from wherry_cli.containers.checks import check_label
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output import human
from wherry_cli.output.listing import Listing, labels_text


def _create(app: App, values: Values, arguments: list[str]) -> int:
    if arguments and values["name"]:
        raise CliError("conflicting options: cannot specify a volume-name through both --name and as a positional arg")
    body = {
        "Name": arguments[0] if arguments else values["name"],
        "Driver": values["driver"],
        "DriverOpts": pairs(values["opt"]),
        "Labels": pairs(values["label"]),
    }
    app.print(app.client.call("POST", "/volumes/create", None, body)["Name"])
    return 0


def _ls(app: App, values: Values, arguments: list[str]) -> int:
    from wherry_cli.output.natural import natural_key

    found = app.client.call("GET", "/volumes", {"filters": filters(values["filter"])}).get("Volumes") or []
    found.sort(key=lambda volume: natural_key(volume["Name"]))
    app.write(LISTING.render(found, format=values["format"], quiet=values["quiet"]))
    return 0


def _rm(app: App, values: Values, arguments: list[str]) -> int:
    def remove(name: str) -> str:
        app.client.call("DELETE", f"/volumes/{path_name(name)}", {"force": values["force"]})
        return name

    return each(app, arguments, remove)


LISTING = Listing(
    "*formatter.volumeContext",
    {
        "Name": ("VOLUME NAME", lambda item, short: item["Name"]),
        "Driver": ("DRIVER", lambda item, short: item["Driver"]),
        "Scope": ("SCOPE", lambda item, short: item["Scope"]),
        "Mountpoint": ("MOUNTPOINT", lambda item, short: item["Mountpoint"]),
        "Labels": ("LABELS", lambda item, short: labels_text(item.get("Labels"))),
        "Links": ("LINKS", lambda item, short: str(item["UsageData"]["RefCount"]) if item.get("UsageData") else "N/A"),
        "Size": ("SIZE", lambda item, short: human.size(item["UsageData"]["Size"]) if item.get("UsageData") else "N/A"),
        # The columns of cluster volumes, which a local volume has nothing for.
        "Group": ("GROUP", lambda item, short: "N/A"),
        "Availability": ("AVAILABILITY", lambda item, short: "N/A"),
        "Status": ("STATUS", lambda item, short: "N/A"),
    },
    ("Driver", "Name"),
    key="Name",
)

CREATE = Command(
    "volume create",
    "[OPTIONS] [VOLUME]",
    "Create a volume; without a name the engine makes one up.",
    _create,
    (
        Option("driver", "d", "string", "Use this driver.", "local"),
        Option(
            "label", "", "list", "Set a label on the volume, as NAME or NAME=VALUE. May be repeated.", check=check_label
        ),
        Option("name", "", "string", "Give the volume this name, as VOLUME does."),
        Option("opt", "o", "map", "Give the driver an option, as NAME=VALUE. May be repeated."),
    ),
    most=1,
)
LS = Command(
    "volume ls",
    "[OPTIONS]",
    "List volumes.",
    _ls,
    (
        Option("filter", "f", "filter", "Show only volumes that match, such as 'dangling=true'. May be repeated."),
        LIST_FORMAT,
        Option("quiet", "q", "bool", "Print only names."),
    ),
)
RM = Command(
    "volume rm",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Remove volumes that no container uses.",
    _rm,
    (Option("force", "f", "bool", "Do not complain about volumes that do not exist."),),
    least=1,
    most=-1,
)
