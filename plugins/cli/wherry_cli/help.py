"""The help pages, from the same tables that parse the command line."""

from __future__ import annotations

import os
import sys

from wherry_cli.app import PROGRAM
from wherry_cli.table import ALIASES, COMMANDS, COMMON, GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry_cli.app import Command
    from wherry_cli.options import Option

FORMAT = (
    "Print each item with this template instead of the usual columns: 'table' for columns with a head, "
    "'table TEMPLATE' for columns of your choice, 'json' for one JSON object a line, or a template such as '{{.ID}}'."
)
INSPECT_FORMAT = "Print each object with this template instead of as JSON: 'json' for one line of JSON, or a template such as '{{.Name}}'."


def program_help(options: Sequence[Option]) -> str:
    """What `wherry --help` prints."""
    parts = [
        f"Usage:  {PROGRAM} [OPTIONS] COMMAND",
        "Run containers.",
        _list("Common commands", {name: _summary(name) for name in COMMON}),
    ]
    parts.append(_list("Groups of commands", GROUPS))
    others = sorted({name for name in [*ALIASES, *COMMANDS] if " " not in name} - set(COMMON))
    parts.append(_list("Commands", {name: _summary(name) for name in others}))
    parts.append(_options("Global options", options))
    parts.append(f"Run '{PROGRAM} COMMAND --help' for more about a command.")
    return "\n\n".join(parts) + "\n"


def group_help(group: str) -> str:
    """What `wherry container` prints."""
    verbs = {name.split()[1]: summary for name, (_, _, summary) in COMMANDS.items() if name.startswith(f"{group} ")}
    parts = [f"Usage:  {PROGRAM} {group} COMMAND", GROUPS[group], _list("Commands", dict(sorted(verbs.items())))]
    parts.append(f"Run '{PROGRAM} {group} COMMAND --help' for more about a command.")
    return "\n\n".join(parts) + "\n"


def command_help(command: Command, path: str) -> str:
    """What `wherry PATH --help` prints."""
    parts = [f"Usage:  {PROGRAM} {path} {command.usage}".rstrip(), command.summary]
    aliases = [alias for alias, name in ALIASES.items() if name == command.name]
    if aliases:
        names = sorted([command.name, *aliases], key=lambda name: (" " not in name, name))
        parts.append("Aliases:\n  " + ", ".join(f"{PROGRAM} {name}" for name in names))
    options = [option for option in command.options if not option.hidden]
    if options:
        parts.append(_options("Options", options))
    return "\n\n".join(parts) + "\n"


def _summary(name: str) -> str:
    return COMMANDS[ALIASES.get(name, name)][2]


def _list(title: str, rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return f"{title}:\n" + "\n".join(f"  {name:{width}}   {text}" for name, text in rows.items())


def _options(title: str, options: Sequence[Option]) -> str:
    heads = {_head(option): option for option in sorted(options, key=lambda option: option.long)}
    width = max(map(len, heads)) + 3
    lines = [f"{title}:"]
    for head, option in heads.items():
        first, *rest = _wrap(help_text(option), _columns() - width)
        lines.append(f"{head:{width}}{first}")
        lines += [" " * width + line for line in rest]
    return "\n".join(lines)


def _head(option: Option) -> str:
    short = f"-{option.short}, " if option.short else "    "
    return f"  {short}--{option.long}" + ("" if option.kind == "bool" else f" {option.kind}")


def help_text(option: Option) -> str:
    """What the option does, and its default."""
    shown = option.shown or (
        ""
        if option.default in (None, "", 0, False, [])
        else str(option.default).lower()
        if option.kind == "bool"
        else str(option.default)
    )
    return option.help + (f" (default {shown})" if shown else "")


def _columns() -> int:
    """The terminal's width, between 80 and 120; 80 where there is none."""
    try:
        return min(max(os.get_terminal_size(sys.stdout.fileno()).columns, 80), 120)
    except OSError:
        return 80


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > max(width, 24):
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines
