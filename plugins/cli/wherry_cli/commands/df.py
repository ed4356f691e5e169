"""wherry system df."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT
from wherry_cli.commands.images import FIELDS as IMAGE_FIELDS
from wherry_cli.commands.images import image_rows
from wherry_cli.commands.ps import LISTING as CONTAINERS
from wherry_cli.commands.volume import LISTING as VOLUMES
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output import human
from wherry_cli.output.listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

ACTIVE = ("running", "paused", "restarting")
IMAGE_COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
CONTAINER_COLUMNS = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
CACHE_HEADS = "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n"


def _df(app: App, values: Values, arguments: list[str]) -> int:
    if values["verbose"] and values["format"]:
        raise CliError("--format and --verbose are two ways to ask for another output: use one")
    usage = app.client.call("GET", "/system/df")
    if values["verbose"]:
        app.write(_verbose(usage))
    else:
        app.write(LISTING.render(_rows(usage), format=values["format"]))
    return 0


def _rows(usage: Any) -> Iterable[dict[str, Any]]:
    images, containers, volumes = (usage.get(key) or [] for key in ("Images", "Containers", "Volumes"))
    used = [image for image in images if image["Containers"]]
    total = usage.get("LayersSize") or 0
    yield _row("Images", len(images), len(used), total, total - sum(i["Size"] - i["SharedSize"] for i in used))
    idle = [container for container in containers if container["State"] not in ACTIVE]
    sizes = [sum(each.get("SizeRw") or 0 for each in group) for group in (containers, idle)]
    yield _row("Containers", len(containers), len(containers) - len(idle), *sizes)
    free = [volume for volume in volumes if not volume["UsageData"]["RefCount"]]
    sizes = [sum(max(volume["UsageData"]["Size"], 0) for volume in group) for group in (volumes, free)]
    yield _row("Local Volumes", len(volumes), len(volumes) - len(free), *sizes)
    yield _row("Build Cache", 0, 0, 0, 0)


def _row(type: str, total: int, active: int, size: int, reclaimable: int) -> dict[str, Any]:
    share = f" ({reclaimable * 100 // size}%)" if size > 0 and type != "Build Cache" else ""
    return {
        "Type": type,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": human.size(size, 4),
        "Reclaimable": human.size(reclaimable, 4) + share,
    }


def _verbose(usage: Any) -> str:
    rows = image_rows(usage.get("Images") or [], digests=False, column=False)
    parts = [
        "Images space usage:\n\n" + Listing("image", IMAGE_FIELDS, IMAGE_COLUMNS).render(rows),
        "Containers space usage:\n\n"
        + Listing("container", CONTAINER_FIELDS, CONTAINER_COLUMNS).render(usage.get("Containers") or []),
        "Local Volumes space usage:\n\n"
        + Listing("volume", VOLUME_FIELDS, ("Name", "Links", "Size")).render(usage.get("Volumes") or []),
        "Build cache usage: 0B\n\n" + CACHE_HEADS,
    ]
    return "\n".join(parts)


# Docker's client writes sizes shorter or longer here than in its lists.
CONTAINER_FIELDS = {**CONTAINERS.fields, "Size": ("SIZE", lambda item, short: human.size(item.get("SizeRw") or 0))}
VOLUME_FIELDS = {**VOLUMES.fields, "Size": ("SIZE", lambda item, short: human.size(item["UsageData"]["Size"], 4))}
LISTING = Listing(
    "*formatter.diskUsageContext",
    {
        "Type": ("TYPE", lambda item, short: item["Type"]),
        "TotalCount": ("TOTAL", lambda item, short: item["TotalCount"]),
        "Active": ("ACTIVE", lambda item, short: item["Active"]),
        "Size": ("SIZE", lambda item, short: item["Size"]),
        "Reclaimable": ("RECLAIMABLE", lambda item, short: item["Reclaimable"]),
    },
    ("Type", "TotalCount", "Active", "Size", "Reclaimable"),
    key="Type",
)

DF = Command(
    "system df",
    "[OPTIONS]",
    "Show what images, containers and volumes take on the disk.",
    _df,
    (LIST_FORMAT, Option("verbose", "v", "bool", "List every image, container and volume with its size.")),
)
