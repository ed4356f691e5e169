"""wherry pause, unpause, rename, top, port and update."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import each, path_name
from wherry_cli.containers import flags
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TOP_LEAST, TOP_GAP = 20, 3  # as Docker's columns of processes

# Those of the limits that can be changed, as `run` describes them.
CHANGEABLE = (
    "blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus", "cpuset-cpus",
    "cpuset-mems", "memory", "memory-reservation", "memory-swap", "pids-limit",
)  # fmt: skip


def _pause(app: App, values: Values, arguments: list[str]) -> int:
    return _post_each(app, "pause", arguments)


def _unpause(app: App, values: Values, arguments: list[str]) -> int:
    return _post_each(app, "unpause", arguments)


def _post_each(app: App, verb: str, names: list[str]) -> int:
    def post(name: str) -> str:
        app.client.call("POST", f"/containers/{path_name(name)}/{verb}")
        return name

    return each(app, names, post)


def _rename(app: App, values: Values, arguments: list[str]) -> int:
    old, new = (name.strip() for name in arguments)
    if not old or not new:
        raise CliError("Error: Neither old nor new names may be empty")
    try:
        app.client.call("POST", f"/containers/{path_name(old)}/rename", {"name": new})
    except ApiError as error:
        app.say(str(error))
        raise CliError(f"Error: failed to rename container named {old}") from error
    return 0


def _top(app: App, values: Values, arguments: list[str]) -> int:
    from wherry_cli.output.columns import align

    name, *words = arguments
    query = {"ps_args": " ".join(words)} if words else {}
    table: Any = app.client.call("GET", f"/containers/{path_name(name)}/top", query)
    rows = [table["Titles"], *table["Processes"]]
    app.print(align("\n".join("\t".join(row) for row in rows), TOP_LEAST, TOP_GAP))
    return 0


def _port(app: App, values: Values, arguments: list[str]) -> int:
    from wherry_cli.output.natural import natural_key

    found: Any = app.client.call("GET", f"/containers/{path_name(arguments[0])}/json")
    ports = found["NetworkSettings"]["Ports"]
    if len(arguments) > 1:
        lines = [_place(binding) for binding in _bindings(ports, *arguments)]
    else:
        lines = [f"{port} -> {_place(binding)}" for port, bindings in ports.items() for binding in bindings or ()]
    for line in sorted(lines, key=natural_key):
        app.print(line)
    return 0


def _bindings(ports: Any, name: str, text: str) -> Any:
    port, _, protocol = text.partition("/")
    if not (port.isascii() and port.isdecimal()):
        raise CliError(f'Error: invalid port ({port}): strconv.ParseUint: parsing "{port}": invalid syntax')
    bindings = ports.get(f"{port}/{protocol or 'tcp'}")
    if not bindings:
        raise CliError(f"Error: No public port '{text}' published for {name}")
    return bindings


def _place(binding: Any) -> str:
    address = binding["HostIp"]
    return f"[{address}]:{binding['HostPort']}" if ":" in address else f"{address}:{binding['HostPort']}"


def _update(app: App, values: Values, arguments: list[str]) -> int:
    from wherry_cli.containers.body import restart_policy
    from wherry_cli.containers.limits import NUMBERS, nano_cpus

    if not values.given:
        raise CliError("you must provide one or more flags when using this command")
    body: dict[str, Any] = {key: values[flag] for key, flag in NUMBERS.items() if flag in values.given}
    if "cpus" in values.given:
        body["NanoCpus"] = nano_cpus(values["cpus"])
    if "restart" in values.given:
        try:
            body["RestartPolicy"] = restart_policy(values["restart"])
        except CliError as error:
            raise CliError(error.text) from error  # 125 is for run and create
    warnings: list[str] = []

    def update(name: str) -> str:
        answer: Any = app.client.call("POST", f"/containers/{path_name(name)}/update", body=body)
        warnings.extend(answer["Warnings"] or ())
        return name

    status = each(app, arguments, update)
    if warnings:
        app.print("\n".join(warnings))  # docker's place for them
    return status


PAUSE = Command(
    "container pause",
    "CONTAINER [CONTAINER...]",
    "Let all processes of containers stand still.",
    _pause,
    least=1,
    most=-1,
)
UNPAUSE = Command(
    "container unpause",
    "CONTAINER [CONTAINER...]",
    "Let the processes of paused containers go on.",
    _unpause,
    least=1,
    most=-1,
)
RENAME = Command("container rename", "CONTAINER NEW_NAME", "Give a container another name.", _rename, least=2, most=2)
TOP = Command(
    "container top",
    "CONTAINER [ps OPTIONS]",
    "Show the processes of a container, as the host's ps does.",
    _top,
    least=1,
    most=-1,
    interspersed=False,
)
PORT = Command(
    "container port",
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "Show where a container's ports are published.",
    _port,
    least=1,
    most=2,
)
UPDATE = Command(
    "container update",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Change limits and restart policy of containers; those that run have them at once.",
    _update,
    (
        *(option for option in flags.LIMITS if option.long in CHANGEABLE),
        Option("restart", "", "string", "Start again after an exit: 'no', 'always', 'unless-stopped', 'on-failure' or 'on-failure:TIMES'."),
    ),
    least=1,
    most=-1,
)  # fmt: skip
