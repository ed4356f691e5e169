"""wherry stats."""

from __future__ import annotations

import os
import sys
import time

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT, NO_TRUNC, path_name
from wherry_cli.options import Option, Values
from wherry_cli.output import human
from wherry_cli.output.figures import NOTHING, Usage
from wherry_cli.output.listing import Listing
from wherry_client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AT_ONCE = 200  # requests under way
REFRESH, INTERVAL = 0.5, 1.0  # s between two tables on a terminal, and elsewhere
FIRST = 2.0  # s that the first table waits for figures

OPTIONS = (
    Option("all", "a", "bool", "Show all containers, not only running ones."),
    LIST_FORMAT,
    Option("no-stream", "", "bool", "Print the figures once and exit."),
    NO_TRUNC,
)


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Show figures once, or until the user or the last container named goes."""

    def show(rows: Sequence[Usage]) -> str:
        return LISTING.render(rows, format=values["format"], full=values["no-trunc"])

    show([])  # a format that cannot be understood is refused before anything is asked
    if values["no-stream"]:
        return _once(app, arguments, values["all"], show)
    from wherry_cli.watching import Watch

    watch = Watch(app, everything=values["all"])
    if arguments:
        watch.name(arguments)
    else:
        watch.follow()
    watch.wait(FIRST)
    draw, pause = (_redraw, REFRESH) if os.isatty(1) else (app.write, INTERVAL)
    while watch.error is None:
        rows = watch.rows()
        if arguments and not rows:
            return 0
        draw(show(rows))
        sys.stdout.flush()
        time.sleep(pause)
    raise watch.error


def _once(app: App, names: Sequence[str], everything: bool, show: Callable[[Sequence[Usage]], str]) -> int:
    named = bool(names)
    if not named:
        names = [found["Id"] for found in app.client.call("GET", "/containers/json", {"all": everything})]
    rows: list[Usage] = []
    errors: list[ApiError] = []
    for at in range(0, len(names), AT_ONCE):
        batch = names[at : at + AT_ONCE]
        pending = [app.client.begin("GET", f"/containers/{path_name(each)}/stats", {"stream": 0}) for each in batch]
        for name, request in zip(batch, pending, strict=True):
            try:
                sample = request.finish()
            except ApiError as error:
                errors.append(error)
            else:
                rows.append(Usage(name if named else name[:12], sample["id"], sample))
    if named and errors:
        for each in errors:
            app.say(str(each))
        return 1
    app.write(show(rows))  # what was listed and is gone by now is no error
    return 0


def _redraw(text: str) -> None:
    """Write over what stands on the terminal, as far as it has room."""
    from wherry_cli.terminal import size

    lines = text.splitlines()[: (size(1) or (len(text), 0))[0] - 1]
    sys.stdout.write("\033[H" + "".join(f"{line}\033[K\n" for line in lines) + "\033[J")


LISTING = Listing(
    "*container.statsContext",
    {
        "Container": ("CONTAINER", lambda row, short: row.asked),
        "Name": ("NAME", lambda row, short: row.name()),
        "ID": ("CONTAINER ID", lambda row, short: (human.short_id(row.id) if short else row.id) or NOTHING),
        "CPUPerc": ("CPU %", lambda row, short: row.cpu()),
        "MemUsage": ("MEM USAGE / LIMIT", lambda row, short: row.memory()),
        "MemPerc": ("MEM %", lambda row, short: row.memory_share()),
        "NetIO": ("NET I/O", lambda row, short: row.network()),
        "BlockIO": ("BLOCK I/O", lambda row, short: row.blocks()),
        "PIDs": ("PIDS", lambda row, short: row.processes()),
    },
    ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
)

STATS = Command(
    "container stats",
    "[OPTIONS] [CONTAINER...]",
    "Show what running containers use: processors, memory, network, disks.",
    run,
    OPTIONS,
    most=-1,
)
