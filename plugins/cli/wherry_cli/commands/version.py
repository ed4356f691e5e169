"""wherry version."""

from __future__ import annotations

import os

from wherry_cli.app import App, Command
from wherry_cli.commands._common import INSPECT_FORMAT_HELP
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output.human import Instant
from wherry_client.errors import ClientError
from wherry_client.http import NEWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_ENGINE = (
    ("API version", "{ApiVersion} (minimum version {MinAPIVersion})"),
    ("Go version", "{GoVersion}"),
    ("Git commit", "{GitCommit}"),
    ("Built", "{BuildTime}"),
    ("OS/Arch", "{Os}/{Arch}"),
    ("Experimental", "{Experimental}"),
)


def client_version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import version

    return version("wherry")


def _client(app: App) -> dict[str, Any]:
    import platform

    return {
        "Version": client_version(),
        "ApiVersion": app.client.version,
        "DefaultAPIVersion": NEWEST,
        "PythonVersion": platform.python_version(),
        "Os": "linux",
        "Arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
    }


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Show both sides' versions; 1 if the engine does not answer."""
    form = values["format"]
    template = None
    if form not in ("", "json"):
        from wherry_cli.output.template import Template, TemplateError

        try:
            template = Template(form)
        except TemplateError as error:
            raise CliError(f"template parsing error: {error}", 64) from None
    server: dict[str, Any] | None = None
    problem: ClientError | None = None
    try:
        server = app.client.call("GET", "/version")
    except ClientError as error:
        problem = error
    data = {"Client": _client(app), "Server": _readable(server) if server else None}
    if form == "json":
        from wherry_cli.output.jsontext import compact

        app.print(compact(data))
    elif template is not None:
        app.print(_rendered(template, data))
    else:
        app.write(_text(data))
    if problem is not None:
        app.say(str(problem))
        return 1
    return 0


def _rendered(template: Any, data: Mapping[str, Any]) -> str:
    from wherry_cli.output.template import TemplateError

    try:
        return str(template.render(data))
    except TemplateError as error:
        raise CliError(str(error)) from None


def _readable(server: dict[str, Any]) -> dict[str, Any]:
    """The engine's answer with an Engine component (old engines send none) and its build time in words."""
    components = server.get("Components") or []
    if not components:
        names = ("ApiVersion", "MinAPIVersion", "GitCommit", "GoVersion", "Os", "Arch", "BuildTime")
        details = {name: str(server.get(name, "")) for name in names}
        details["Experimental"] = "true" if server.get("Experimental") else "false"
        components = [{"Name": "Engine", "Version": server.get("Version", ""), "Details": details}]
    for component in components:
        details = component.get("Details") or {}
        if "BuildTime" in details:
            details["BuildTime"] = _date(details["BuildTime"])
    return {**server, "Components": components}


def _date(text: str) -> str:
    try:
        return Instant(text).date_line()
    except ValueError:
        return text  # engines may say what they like here


def _line(depth: int, name: str, value: str) -> str:
    return f"{' ' * depth + name + ':':<20}{value}".rstrip(" ") if value else f"{' ' * depth + name + ':':<20}"


def _text(data: Mapping[str, Any]) -> str:
    client = data["Client"]
    lines = ["Client:", _line(1, "Version", client["Version"]), _line(1, "API version", client["ApiVersion"])]
    lines += [
        _line(1, "Python version", client["PythonVersion"]),
        _line(1, "OS/Arch", f"{client['Os']}/{client['Arch']}"),
    ]
    server = data["Server"]
    if server is None:
        return "\n".join(lines) + "\n"
    name = (server.get("Platform") or {}).get("Name", "")
    lines += ["", f"Server: {name}" if name else "Server:"]
    for component in server["Components"]:
        details = component.get("Details") or {}
        lines += [f" {component['Name']}:", _line(2, "Version", component["Version"])]
        if component["Name"] == "Engine":
            known = _Known(details)
            lines += [_line(2, title, form.format_map(known)) for title, form in _ENGINE]
        else:
            lines += [_line(2, key, value) for key, value in sorted(details.items())]
    return "\n".join(lines) + "\n"


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


VERSION = Command(
    "version",
    "[OPTIONS]",
    "Show the versions of this client and the engine.",
    run,
    (Option("format", "f", "string", INSPECT_FORMAT_HELP),),
)
