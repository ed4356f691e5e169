"""wherry load and import."""

from __future__ import annotations

import os
import sys

from wherry_cli import progress
from wherry_cli.app import App, Command
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 20

PLATFORM = Option("platform", "", "string", "Take only this platform, as OS/ARCHITECTURE[/VARIANT].")


def _load(app: App, values: Values, arguments: list[str]) -> int:
    name = values["input"]
    if not name and os.isatty(0):
        raise CliError("requested load from stdin, but stdin is empty")
    query: dict[str, object] = {"quiet": values["quiet"] or not os.isatty(1)}
    if values["platform"]:
        from wherry_cli.references import platform_json

        query["platform"] = platform_json(values["platform"])
    response = app.client.upload("/images/load", query, _pieces(name), "application/x-tar")
    if response.headers.get("content-type", "").startswith("application/json"):
        progress.show(response.objects(), sys.stdout)
    else:
        app.write(response.read().decode("utf-8", "replace"))
    return 0


def _import(app: App, values: Values, arguments: list[str]) -> int:
    source = arguments[0]
    query: dict[str, object] = {
        "repo": arguments[1] if len(arguments) > 1 else "",
        "message": values["message"],
        "changes": values["change"],
        "platform": values["platform"],
    }
    if source.startswith(("http://", "https://")):
        response = app.client.request("POST", "/images/create", {**query, "fromSrc": source})
    else:
        pieces = _pieces("" if source == "-" else source)
        response = app.client.upload("/images/create", {**query, "fromSrc": "-"}, pieces, "application/x-tar")
    progress.show(response.objects(), sys.stdout)
    return 0


def _pieces(name: str) -> Iterator[bytes]:
    """The content of a file, or of stdin if `name` is empty. Raises CliError at once if there is no such file."""
    try:
        descriptor = os.open(name, os.O_RDONLY) if name else os.dup(0)
    except OSError as error:
        raise CliError(f"open {name}: {(error.strerror or '').lower()}") from None
    return _read(descriptor)


def _read(descriptor: int) -> Iterator[bytes]:
    try:
        while data := os.read(descriptor, PIECE):
            yield data
    finally:
        os.close(descriptor)


LOAD = Command(
    "image load",
    "[OPTIONS]",
    "Load images from an archive.",
    _load,
    (
        Option("input", "i", "string", "Read the archive from this file instead of from stdin."),
        PLATFORM,
        Option("quiet", "q", "bool", "Do not show progress."),
    ),
)
IMPORT = Command(
    "image import",
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Make an image of one layer from a tar file of a file system.",
    _import,
    (
        Option(
            "change",
            "c",
            "list",
            "Apply an instruction such as 'CMD [\"sh\"]' or 'ENV A=1' to the image. May be repeated.",
        ),
        Option("message", "m", "string", "Record this comment with the layer."),
        Option("platform", "", "string", "Say that the image is for this platform, as OS/ARCHITECTURE[/VARIANT]."),
    ),
    least=1,
    most=-1,
)
