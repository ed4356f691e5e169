"""wherry images."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT, NO_TRUNC, filters
from wherry_cli.options import Option, Values
from wherry_cli.output import human
from wherry_cli.output.listing import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

NONE = "<none>"

OPTIONS = (
    Option("all", "a", "bool", "Show intermediate images too."),
    Option("digests", "", "bool", "Show the digests under which registries know the images."),
    Option(
        "filter",
        "f",
        "filter",
        "Show only images that match, such as 'dangling=true' or 'reference=busy*'. May be repeated.",
    ),
    LIST_FORMAT,
    NO_TRUNC,
    Option("quiet", "q", "bool", "Print only ids."),
)


def run(app: App, values: Values, arguments: list[str]) -> int:
    """List images."""
    wanted = [*values["filter"], *(f"reference={name}" for name in arguments)]
    found = app.client.call("GET", "/images/json", {"all": values["all"], "filters": filters(wanted)})
    digests = values["digests"] or ".Digest" in values["format"]
    listing = WITH_DIGESTS if values["digests"] else LISTING
    rows = list(image_rows(found, digests=digests, column=values["digests"]))
    app.write(listing.render(rows, format=values["format"], quiet=values["quiet"], full=values["no-trunc"]))
    return 0


def image_rows(images: Iterable[Any], *, digests: bool, column: bool) -> Iterator[dict[str, Any]]:
    """One row for each name of an image; with `digests` for each digest of a name.

    An image that has digests and no tag gets one row for all of them, unless digests have their own `column`.
    """
    for image in images:
        tags = _grouped(image.get("RepoTags") or [], ":")
        known = _grouped(image.get("RepoDigests") or [], "@")
        if not tags and not known:
            yield {**image, "Repository": NONE, "Tag": NONE, "Digest": NONE}
            continue
        for repository, names in tags.items():
            own = known.pop(repository, [])
            for tag in names:
                for digest in own if digests and own else [NONE]:
                    yield {**image, "Repository": repository, "Tag": tag, "Digest": digest}
        for repository, hashes in known.items():
            for digest in hashes if column else [""]:
                yield {**image, "Repository": repository, "Tag": NONE, "Digest": digest}


def _grouped(names: Iterable[str], mark: str) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        repository, _, rest = name.rpartition(mark)
        if repository != NONE:
            groups.setdefault(repository, []).append(rest)
    return groups


def _known(value: int, form: Any) -> str:
    return "N/A" if value < 0 else str(form(value))


def _unique(item: Any, short: bool) -> str:
    return "N/A" if item.get("SharedSize", -1) < 0 else human.size(item["Size"] - item["SharedSize"], 4)


FIELDS: dict[str, Any] = {
    "ID": ("IMAGE ID", lambda item, short: human.short_id(item["Id"]) if short else item["Id"]),
    "Repository": ("REPOSITORY", lambda item, short: item["Repository"]),
    "Tag": ("TAG", lambda item, short: item["Tag"]),
    "Digest": ("DIGEST", lambda item, short: item["Digest"]),
    "CreatedSince": ("CREATED", lambda item, short: human.since(item["Created"]) if item["Created"] > 0 else "N/A"),
    "CreatedAt": ("CREATED AT", lambda item, short: human.local_time(item["Created"])),
    "Size": ("SIZE", lambda item, short: human.size(item["Size"])),
    "Containers": ("CONTAINERS", lambda item, short: _known(item.get("Containers", -1), str)),
    "VirtualSize": ("SIZE", lambda item, short: human.size(item["Size"], 4)),
    "SharedSize": ("SHARED SIZE", lambda item, short: _known(item.get("SharedSize", -1), human.size)),
    "UniqueSize": ("UNIQUE SIZE", _unique),
}
LISTING = Listing("*formatter.imageContext", FIELDS, ("Repository", "Tag", "ID", "CreatedSince", "Size"))
WITH_DIGESTS = Listing("*formatter.imageContext", FIELDS, ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"))

IMAGES = Command("image ls", "[OPTIONS] [REPOSITORY[:TAG]]", "List images.", run, OPTIONS, most=1)
