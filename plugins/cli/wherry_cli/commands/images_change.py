"""wherry rmi and tag."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import each, path_name
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.references import platform_json, split_reference
from wherry_client.errors import ApiError


def _rmi(app: App, values: Values, arguments: list[str]) -> int:
    platforms = [platform_json(text) for text in values["platform"]]
    query = {"force": values["force"], "noprune": values["no-prune"], "platforms": platforms}
    missing: list[ApiError] = []

    def remove(name: str) -> str:
        try:
            gone = app.client.call("DELETE", f"/images/{path_name(name)}", query)
        except ApiError as error:
            if not (values["force"] and error.status == 404):
                raise
            missing.append(error)
            return ""
        return "\n".join(
            f"Deleted: {item['Deleted']}" if "Deleted" in item else f"Untagged: {item['Untagged']}" for item in gone
        )

    status = each(app, arguments, remove)
    for error in missing:
        app.say(str(error))
    return status


def _tag(app: App, values: Values, arguments: list[str]) -> int:
    source, _ = arguments
    for name in arguments:
        try:
            repository, tag, digest = split_reference(name)
        except CliError as error:
            raise CliError(f"Error parsing reference: {error.text}") from None
    if digest:
        raise CliError("refusing to create a tag with a digest reference")
    app.client.call("POST", f"/images/{path_name(source)}/tag", {"repo": repository, "tag": tag or "latest"})
    return 0


RMI = Command(
    "image rm",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Remove images.",
    _rmi,
    (
        Option("force", "f", "bool", "Remove an image that has several names or that stopped containers use."),
        Option("no-prune", "", "bool", "Keep the parents that have no name of their own."),
        Option(
            "platform",
            "",
            "strings",
            "Remove only the image for this platform, as OS/ARCHITECTURE[/VARIANT]. May be repeated.",
        ),
    ),
    least=1,
    most=-1,
)
TAG = Command(
    "image tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Give an image another name.",
    _tag,
    least=2,
    most=2,
)
