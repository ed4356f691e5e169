"""wherry ps."""

from __future__ import annotations

import json

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT, NO_TRUNC, filters
from wherry_cli.commands._ports import displayed_ports
from wherry_cli.options import Option, Values
from wherry_cli.output import human
from wherry_cli.output.listing import Listing, labels_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPTIONS = (
    Option("all", "a", "bool", "Show all containers, not only running ones."),
    Option(
        "filter",
        "f",
        "filter",
        "Show only containers that match, such as 'status=exited' or 'label=app'. May be repeated.",
    ),
    LIST_FORMAT,
    Option("last", "n", "int", "Show only this many containers, the newest, in any state.", -1),
    Option("latest", "l", "bool", "Show only the newest container, in any state."),
    NO_TRUNC,
    Option("quiet", "q", "bool", "Print only ids."),
    Option("size", "s", "bool", "Show how much each container has written and how large it is in all."),
)


def run(app: App, values: Values, arguments: list[str]) -> int:
    """List containers."""
    last = 1 if values["latest"] and values["last"] == -1 else values["last"]
    size = values["size"] or ".Size" in values["format"]
    query = {
        "all": values["all"],
        "limit": last if last > 0 else None,
        "size": size,
        "filters": filters(values["filter"]),
    }
    found = app.client.call("GET", "/containers/json", query)
    extra = ["Size"] if values["size"] else []
    app.write(
        LISTING.render(found, format=values["format"], quiet=values["quiet"], full=values["no-trunc"], extra=extra)
    )
    return 0


def _image(item: Any, short: bool) -> str:
    image = str(item["Image"])
    if not image:
        return "<no image>"
    if not short:
        return image
    identity = human.short_id(item.get("ImageID", ""))
    if identity and identity == human.short_id(image):
        return identity
    name = image.partition("@")[0]
    return name.removeprefix("docker.io/").removeprefix("library/") if name.startswith("docker.io/") else name


def _names(item: Any, short: bool) -> str:
    names = [name.removeprefix("/") for name in item.get("Names") or []]
    return ",".join(name for name in names if not short or "/" not in name)


def _command(item: Any, short: bool) -> str:
    text = item["Command"]
    return json.dumps(human.shorten(text, 20) if short else text, ensure_ascii=False)


def _size(item: Any, short: bool) -> str:
    written, whole = item.get("SizeRw", 0), item.get("SizeRootFs", 0)
    return human.size(written) + (f" (virtual {human.size(whole)})" if whole > 0 else "")


def _mounts(item: Any, short: bool) -> str:
    names = [mount.get("Name") or mount.get("Source", "") for mount in item.get("Mounts") or []]
    return ",".join(human.shorten(name, 15) if short else name for name in names)


def _local_volumes(item: Any, short: bool) -> str:
    return str(sum(mount.get("Driver") == "local" for mount in item.get("Mounts") or []))


def _networks(item: Any, short: bool) -> str:
    return ",".join(sorted((item.get("NetworkSettings") or {}).get("Networks") or {}))


def _platform(item: Any, short: bool) -> Any:
    return ((item.get("ImageManifestDescriptor") or {}).get("platform")) or None


LISTING = Listing(
    "*formatter.ContainerContext",
    {
        "ID": ("CONTAINER ID", lambda item, short: human.short_id(item["Id"]) if short else item["Id"]),
        "Names": ("NAMES", _names),
        "Image": ("IMAGE", _image),
        "Command": ("COMMAND", _command),
        "CreatedAt": ("CREATED AT", lambda item, short: human.local_time(item["Created"])),
        "RunningFor": ("CREATED", lambda item, short: human.since(item["Created"])),
        "Ports": ("PORTS", lambda item, short: displayed_ports(item.get("Ports") or [])),
        "State": ("STATE", lambda item, short: item["State"]),
        "Status": ("STATUS", lambda item, short: item["Status"]),
        "Size": ("SIZE", _size),
        "Labels": ("LABELS", lambda item, short: labels_text(item.get("Labels"))),
        "Mounts": ("MOUNTS", _mounts),
        "LocalVolumes": ("LOCAL VOLUMES", _local_volumes),
        "Networks": ("NETWORKS", _networks),
        "Platform": ("PLATFORM", _platform),
    },
    ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"),
)

PS = Command("container ls", "[OPTIONS]", "List containers.", run, OPTIONS)
