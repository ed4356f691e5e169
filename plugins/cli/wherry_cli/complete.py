"""What may stand at the end of a command line: commands, flags, and names that the engine knows."""

from __future__ import annotations

from wherry_cli.app import App
from wherry_cli.main import GLOBAL_OPTIONS, load
from wherry_cli.table import ALIASES, COMMANDS, GROUPS, canonical
from wherry_client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from wherry_cli.options import Option

    Source = Callable[[App], Iterable[str]]


def complete(app: App, words: Sequence[str]) -> int:
    """Print each candidate for the last of the words that follow the program's name, with a tab before what it means.

    1 if there is none.
    """
    *before, last = words or [""]
    found = sorted(_candidates(app, list(before), last))
    for value, meaning in found:
        app.print(f"{value}\t{meaning}" if meaning else value)
    return 0 if found else 1


def _candidates(app: App, before: list[str], last: str) -> Iterable[tuple[str, str]]:
    rest = _without_flags(before, GLOBAL_OPTIONS, stop=True)
    if not rest:
        return _starting(last, [*_options(GLOBAL_OPTIONS), *_verbs("")] if last.startswith("-") else _verbs(""))
    path, rest = rest[0], rest[1:]
    if path in GROUPS and canonical(path) is None:
        if not rest:
            return _starting(last, _verbs(f"{path} "))
        path, rest = f"{path} {rest[0]}", rest[1:]
    name = canonical(path)
    if name is None:
        return ()
    return _of_command(app, name, rest, last)


def _of_command(app: App, name: str, rest: list[str], last: str) -> Iterable[tuple[str, str]]:
    options = load(name).options
    flag, joined, value = last.partition("=")
    if last.startswith("--") and joined:
        return _named(app, FLAGS.get(flag[2:]), value, f"{flag}=")
    previous = _find(options, rest[-1]) if rest else None
    if previous is not None and previous.kind != "bool":
        return _named(app, FLAGS.get(previous.long), last)
    if last.startswith("-"):
        return _starting(last, _options(options))
    count = len(_without_flags(rest, options, stop=False))
    sources = ARGUMENTS.get(name, ())
    source = sources[min(count, len(sources) - 1)] if sources else None
    return _named(app, source, last)


def _named(app: App, source: Source | None, start: str, before: str = "") -> Iterable[tuple[str, str]]:
    """What the engine knows that begins so; nothing if it cannot be asked."""
    if source is None:
        return ()
    try:
        return [(before + each, "") for each in source(app) if each.startswith(start)]
    except ClientError:
        return ()


def _starting(start: str, candidates: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return [each for each in candidates if each[0].startswith(start)]


def _verbs(group: str) -> Iterable[tuple[str, str]]:
    """The words that may follow; aliases of a group's verbs are left out, but those at the top are what people type."""
    known = {name: summary for name, (_, _, summary) in COMMANDS.items()}
    if not group:
        known |= GROUPS | {alias: COMMANDS[name][2] for alias, name in ALIASES.items() if " " not in alias}
        return [(name, text) for name, text in known.items() if " " not in name]
    return [(name.removeprefix(group), text) for name, text in known.items() if name.startswith(group)]


def _options(options: Iterable[Option]) -> list[tuple[str, str]]:
    shown = [(f"--{option.long}", option.help) for option in options if not option.hidden]
    return [*shown, ("--help", "Print the help.")]


def _find(options: Iterable[Option], word: str) -> Option | None:
    """The flag that this word ends with, if it gives no value itself."""
    if word.startswith("--"):
        return next((option for option in options if option.long == word[2:]), None)
    if word.startswith("-") and len(word) > 1:
        return next((option for option in options if option.short == word[-1]), None)
    return None


def _without_flags(words: Sequence[str], options: Sequence[Option], *, stop: bool) -> list[str]:
    """The arguments among the words; with `stop`, all words from the first argument on."""
    found: list[str] = []
    skip = False
    for at, word in enumerate(words):
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            option = _find(options, word)
            skip = option is not None and option.kind != "bool"
        elif stop:
            return list(words[at:])
        else:
            found.append(word)
    return found


# --- what the engine knows ---


def _containers(state: str) -> Source:
    def names(app: App) -> Iterable[str]:
        found: list[Any] = app.client.call("GET", "/containers/json", {"all": state != "running"})
        if state == "stopped":
            found = [each for each in found if each["State"] not in ("running", "paused")]
        return [name.removeprefix("/") for each in found for name in each["Names"]]

    return names


def _images(app: App) -> Iterable[str]:
    return [tag for image in app.client.call("GET", "/images/json") for tag in image.get("RepoTags") or []]


def _networks(app: App) -> Iterable[str]:
    return [network["Name"] for network in app.client.call("GET", "/networks")]


def _volumes(app: App) -> Iterable[str]:
    return [volume["Name"] for volume in app.client.call("GET", "/volumes").get("Volumes") or []]


def _runtimes(app: App) -> Iterable[str]:
    return list(app.client.call("GET", "/info").get("Runtimes") or {})


def _drivers(family: str) -> Source:
    return lambda app: (app.client.call("GET", "/info").get("Plugins") or {}).get(family) or []


def _fixed(*values: str) -> Source:
    return lambda app: values


def _objects(app: App) -> Iterable[str]:
    return [*CONTAINERS(app), *_images(app), *_networks(app), *_volumes(app)]


def _nothing(app: App) -> Iterable[str]:
    return ()


CONTAINERS, RUNNING, STOPPED = _containers("any"), _containers("running"), _containers("stopped")

# The sources of a command's arguments, the last of which serves all further ones.
ARGUMENTS: dict[str, Sequence[Source]] = {
    "completion": (_fixed("bash", "fish", "zsh"), _nothing),
    "container attach": (RUNNING, _nothing),
    "container exec": (RUNNING, _nothing),
    "container commit": (CONTAINERS, _nothing),
    "container cp": (CONTAINERS,),
    "container create": (_images, _nothing),
    "container diff": (CONTAINERS, _nothing),
    "container export": (CONTAINERS, _nothing),
    "container inspect": (CONTAINERS,),
    "container kill": (RUNNING,),
    "container logs": (CONTAINERS, _nothing),
    "container pause": (RUNNING,),
    "container port": (CONTAINERS, _nothing),
    "container rename": (CONTAINERS, _nothing),
    "container restart": (CONTAINERS,),
    "container rm": (CONTAINERS,),
    "container run": (_images, _nothing),
    "container start": (STOPPED,),
    "container stats": (CONTAINERS,),
    "container stop": (RUNNING,),
    "container top": (RUNNING, _nothing),
    "container unpause": (RUNNING,),
    "container update": (CONTAINERS,),
    "container wait": (RUNNING,),
    "image history": (_images, _nothing),
    "image inspect": (_images,),
    "image ls": (_images, _nothing),
    "image rm": (_images,),
    "image save": (_images,),
    "image tag": (_images, _nothing),
    "inspect": (_objects,),
    "network connect": (_networks, CONTAINERS, _nothing),
    "network disconnect": (_networks, CONTAINERS, _nothing),
    "network inspect": (_networks,),
    "network rm": (_networks,),
    "volume inspect": (_volumes,),
    "volume rm": (_volumes,),
}

# The sources of flags' values.
FLAGS: dict[str, Source] = {
    "driver": _drivers("Network"),
    "log-driver": _drivers("Log"),
    "network": _networks,
    "platform": _fixed("linux/amd64", "linux/arm64"),
    "pull": _fixed("always", "missing", "never"),
    "restart": _fixed("no", "always", "on-failure", "unless-stopped"),
    "runtime": _runtimes,
    "signal": _fixed("SIGHUP", "SIGINT", "SIGKILL", "SIGTERM", "SIGUSR1", "SIGUSR2"),
    "volumes-from": CONTAINERS,
}
