"""wherry inspect, and inspect of containers, images, networks and volumes."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import INSPECT_FORMAT_HELP, path_name
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATHS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}

FORMAT = Option("format", "f", "string", INSPECT_FORMAT_HELP)
SIZE = Option("size", "s", "bool", "Find out how much each container has written and how large it is in all.")


def _of_kind(kind: str) -> Callable[[App, Values, list[str]], int]:
    def run(app: App, values: Values, arguments: list[str]) -> int:
        return show(app, arguments, values["format"], lambda name: fetch(app, kind, name, values))

    return run


def _any(app: App, values: Values, arguments: list[str]) -> int:
    kind = values["type"]
    if kind and kind not in PATHS:
        known = ", ".join(f'"{name}"' for name in PATHS)
        raise CliError(f'unknown type: "{kind}": must be one of {known}')
    kinds = [kind] if kind else list(PATHS)

    def find(name: str) -> str:
        for one in kinds:
            try:
                return fetch(app, one, name, values)
            except ApiError as error:
                # What is no name of an image may be one of a volume or a network.
                if kind or (error.status != 404 and "invalid reference format" not in error.message):
                    raise
        raise CliError(f"Error: No such object: {name}")

    return show(app, arguments, values["format"], find)


def fetch(app: App, kind: str, name: str, values: Values) -> str:
    """One object's JSON text as the engine sent it. Raises ApiError."""
    query = {}
    if kind == "container":
        query = {"size": values["size"]}
    if kind == "image" and "platform" in values.given:
        from wherry_cli.references import platform_json

        query = {"platform": platform_json(values["platform"])}
    if kind == "network" and "verbose" in values.given:
        query = {"verbose": values["verbose"]}
    return app.client.request("GET", PATHS[kind].format(path_name(name)), query).read().decode()


def show(app: App, names: list[str], form: str, find: Callable[[str], str]) -> int:
    """Print what is found of `names` by the format, then the errors; 1 if there were any."""
    from wherry_cli.output import jsontext

    render = _renderer(form)
    texts: list[str] = []
    errors: list[str] = []
    for name in names:
        try:
            texts.append(find(name))
        except (ApiError, CliError) as error:
            errors.append(str(error))
    if form == "json":
        app.print("[" + ",".join(map(jsontext.squeeze, texts)) + "]")
    elif not form:
        app.print(jsontext.indent("[" + ",".join(texts) + "]"))
    else:
        _write_rendered(app, texts, render)
    for text in errors:
        app.say(text)
    return 1 if errors else 0


def _write_rendered(app: App, texts: list[str], render: Callable[[str], str]) -> None:
    """Each object by the template; what came before a failure is printed, and a line end where that is nothing."""
    lines: list[str] = []
    try:
        for text in texts:
            lines.append(render(text) + "\n")
    finally:
        app.write("".join(lines) or "\n")


def _renderer(form: str) -> Callable[[str], str]:
    """The template of `--format`, parsed before anything is asked of the engine."""
    if form in ("", "json"):
        return str
    from json import loads

    from wherry_cli.output.template import Template, TemplateError

    try:
        template = Template(form)
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}", 64) from None

    def render(text: str) -> str:
        try:
            return template.render(loads(text))
        except TemplateError as error:
            raise CliError(f"template parsing error: {error}") from None

    return render


INSPECT = Command(
    "inspect",
    "[OPTIONS] NAME|ID [NAME|ID...]",
    "Show all details of containers, images, networks and volumes.",
    _any,
    (
        FORMAT,
        SIZE,
        Option("type", "", "string", "Look only for this kind of object: container, image, network or volume."),
    ),
    least=1,
    most=-1,
)
CONTAINER_INSPECT = Command(
    "container inspect",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Show all details of containers.",
    _of_kind("container"),
    (FORMAT, SIZE),
    least=1,
    most=-1,
)
IMAGE_INSPECT = Command(
    "image inspect",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Show all details of images.",
    _of_kind("image"),
    (FORMAT, Option("platform", "", "string", "Show the image for this platform, as OS/ARCHITECTURE[/VARIANT].")),
    least=1,
    most=-1,
)
NETWORK_INSPECT = Command(
    "network inspect",
    "[OPTIONS] NETWORK [NETWORK...]",
    "Show all details of networks.",
    _of_kind("network"),
    (FORMAT, Option("verbose", "v", "bool", "Show what helps to find faults too.")),
    least=1,
    most=-1,
)
VOLUME_INSPECT = Command(
    "volume inspect",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Show all details of volumes.",
    _of_kind("volume"),
    (FORMAT,),
    least=1,
    most=-1,
)
