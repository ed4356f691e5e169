"""wherry history."""

from __future__ import annotations

import time

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT, NO_TRUNC, path_name
from wherry_cli.options import Option, Values
from wherry_cli.output import human
from wherry_cli.output.listing import Listing

OPTIONS = (
    LIST_FORMAT,
    Option("human", "H", "bool", "Show sizes and times in words rather than as exact numbers.", True),
    NO_TRUNC,
    Option("platform", "", "string", "Show the history for this platform, as OS/ARCHITECTURE[/VARIANT]."),
    Option("quiet", "q", "bool", "Print only ids."),
)


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Show the steps that made an image, the newest first."""
    query = {}
    if values["platform"]:
        from wherry_cli.references import platform_json

        query = {"platform": platform_json(values["platform"])}
    steps = app.client.call("GET", f"/images/{path_name(arguments[0])}/history", query)
    listing = _listing(words=values["human"])
    app.write(listing.render(steps, format=values["format"], quiet=values["quiet"], full=values["no-trunc"]))
    return 0


def _listing(*, words: bool) -> Listing:
    def created(seconds: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) + _zone(seconds)

    def by(text: str, short: bool) -> str:
        text = text.replace("\t", " ")
        return human.shorten(text, 45) if short else text

    def identity(text: str, short: bool) -> str:
        return human.short_id(text) if short and text != "<missing>" else text

    return Listing(
        "*formatter.historyContext",
        {
            "ID": ("IMAGE", lambda item, short: identity(item["Id"], short)),
            "CreatedSince": (
                "CREATED" if words else "CREATED AT",
                lambda item, short: human.since(item["Created"]) if words else created(item["Created"]),
            ),
            "CreatedAt": ("CREATED AT", lambda item, short: created(item["Created"])),
            "CreatedBy": ("CREATED BY", lambda item, short: by(item["CreatedBy"], short)),
            "Size": ("SIZE", lambda item, short: human.size(item["Size"]) if words else str(item["Size"])),
            "Comment": ("COMMENT", lambda item, short: item["Comment"]),
        },
        ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
    )


def _zone(seconds: int) -> str:
    offset = time.localtime(seconds).tm_gmtoff // 60
    sign = "-" if offset < 0 else "+"
    return f"{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}" if offset else "Z"


HISTORY = Command(
    "image history", "[OPTIONS] IMAGE", "Show how an image was made, step by step.", run, OPTIONS, least=1, most=1
)
