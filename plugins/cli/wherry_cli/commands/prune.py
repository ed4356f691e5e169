"""wherry container, image, network, volume and system prune: says what will go, asks, and tells what went."""

from __future__ import annotations

import sys

from wherry_cli.app import App, Command
from wherry_cli.commands._common import filters
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output import human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

QUESTION = "Are you sure you want to continue? [y/N] "
FORCE = Option("force", "f", "bool", "Do not ask.")
FILTER = Option(
    "filter", "", "filter", "Remove only what matches, such as 'label=app' or 'until=24h'. May be repeated."
)


class Kind:
    """What one kind's prune is called in its report, and where its names stand in the answer."""

    __slots__ = ("deleted", "key", "path")

    def __init__(self, path: str, deleted: str, key: str) -> None:
        self.path = path
        self.deleted = deleted
        self.key = key

    def prune(self, app: App, wanted: Sequence[str]) -> tuple[str, int]:
        """The text that tells what was removed, and the bytes that were freed."""
        report = app.client.call("POST", f"/{self.path}/prune", {"filters": filters(wanted)})
        lines = [_line(item) for item in report.get(self.key) or []]
        text = "".join(f"{line}\n" for line in [self.deleted, *lines]) if lines else ""
        return text, report.get("SpaceReclaimed", 0)


CONTAINERS = Kind("containers", "Deleted Containers:", "ContainersDeleted")
IMAGES = Kind("images", "Deleted Images:", "ImagesDeleted")
NETWORKS = Kind("networks", "Deleted Networks:", "NetworksDeleted")
CACHE = Kind("build", "Deleted build cache objects:", "CachesDeleted")
VOLUMES = Kind("volumes", "Deleted Volumes:", "VolumesDeleted")


def _line(item: Any) -> str:
    if isinstance(item, str):
        return item
    return f"untagged: {item['Untagged']}" if item.get("Untagged") else f"deleted: {item['Deleted']}"


def _confirmed(app: App, values: Values, warning: str) -> bool:
    """Whether to go on; anything but y means no."""
    if values["force"]:
        return True
    app.write(f"WARNING! {warning}\n{QUESTION}")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() == "y"


def _run(app: App, values: Values, warning: str, kinds: Sequence[tuple[Kind, Sequence[str]]]) -> int:
    if not _confirmed(app, values, warning):
        return 0
    freed, tells_space = 0, False
    for kind, wanted in kinds:
        text, space = kind.prune(app, wanted)
        freed += space
        tells_space = tells_space or kind is not NETWORKS
        if text:
            app.print(text)
    if tells_space:
        app.print(f"Total reclaimed space: {human.size(freed, 4)}")
    return 0


def _containers(app: App, values: Values, arguments: list[str]) -> int:
    return _run(app, values, "This will remove all stopped containers.", [(CONTAINERS, values["filter"])])


def _images(app: App, values: Values, arguments: list[str]) -> int:
    which = "images without at least one container associated to them" if values["all"] else "dangling images"
    wanted = [*values["filter"], f"dangling={'false' if values['all'] else 'true'}"]
    return _run(app, values, f"This will remove all {which}.", [(IMAGES, wanted)])


def _networks(app: App, values: Values, arguments: list[str]) -> int:
    warning = "This will remove all custom networks not used by at least one container."
    return _run(app, values, warning, [(NETWORKS, values["filter"])])


def _volumes(app: App, values: Values, arguments: list[str]) -> int:
    wanted = list(values["filter"])
    if values["all"]:
        if any(each.partition("=")[0] == "all" for each in wanted):
            raise CliError("conflicting options: cannot specify both --all and --filter all=1")
        wanted.append("all=true")
    which = "all local volumes" if values["all"] else "anonymous local volumes"
    return _run(app, values, f"This will remove {which} not used by at least one container.", [(VOLUMES, wanted)])


def _system(app: App, values: Values, arguments: list[str]) -> int:
    wanted = values["filter"]
    if values["volumes"] and any(each.partition("=")[0] == "until" for each in wanted):
        raise CliError('ERROR: The "until" filter is not supported with "--volumes"')
    everything = values["all"]
    kinds: list[tuple[Kind, Sequence[str]]] = [(CONTAINERS, wanted), (NETWORKS, wanted)]
    if values["volumes"]:
        kinds.append((VOLUMES, wanted))
    kinds += [(IMAGES, [*wanted, f"dangling={'false' if everything else 'true'}"]), (CACHE, wanted)]
    return _run(app, values, _system_warning(wanted, everything=everything, volumes=values["volumes"]), kinds)


def _system_warning(wanted: Sequence[str], *, everything: bool, volumes: bool) -> str:
    images = "all images without at least one container associated to them" if everything else "all dangling images"
    lines = ["all stopped containers", "all networks not used by at least one container"]
    lines += ["all anonymous volumes not used by at least one container"] if volumes else []
    lines += [images, "all build cache" if everything else "unused build cache"]
    text = "This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    if wanted:
        text += "\n  Items to be pruned will be filtered with:\n" + "".join(f"  - {each}\n" for each in sorted(wanted))
    return text


CONTAINER_PRUNE = Command(
    "container prune", "[OPTIONS]", "Remove all stopped containers.", _containers, (FILTER, FORCE)
)
IMAGE_PRUNE = Command(
    "image prune",
    "[OPTIONS]",
    "Remove images that have no name, or all that no container uses.",
    _images,
    (
        Option("all", "a", "bool", "Remove all images that no container uses, not only those without a name."),
        FILTER,
        FORCE,
    ),
)
NETWORK_PRUNE = Command(
    "network prune", "[OPTIONS]", "Remove all networks that no container uses.", _networks, (FILTER, FORCE)
)
VOLUME_PRUNE = Command(
    "volume prune",
    "[OPTIONS]",
    "Remove anonymous volumes that no container uses, or all of them.",
    _volumes,
    (
        Option("all", "a", "bool", "Remove volumes with a name too."),
        Option("filter", "", "filter", "Remove only volumes that match, such as 'label=app'. May be repeated."),
        FORCE,
    ),
)
SYSTEM_PRUNE = Command(
    "system prune",
    "[OPTIONS]",
    "Remove what is not used: stopped containers, networks, images, and on request volumes.",
    _system,
    (
        Option("all", "a", "bool", "Remove all images that no container uses, not only those without a name."),
        FILTER,
        FORCE,
        Option("volumes", "", "bool", "Remove anonymous volumes too."),
    ),
)
