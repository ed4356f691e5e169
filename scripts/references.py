"""Write the references in docs/ from the code: the command line, the daemon's configuration, the hooks of every
family, the options of every driver.

python -m scripts.references            write docs/cli.md, configuration.md, hooks.md and options.md
python -m scripts.references --check    only say whether they are as the code has it
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from wherry.spec.base import DriverSpec
from wherry.toolkit.options import OptionInfo
from wherry_cli.help import help_text
from wherry_cli.main import GLOBAL_OPTIONS, load
from wherry_cli.options import Option
from wherry_cli.table import ALIASES, COMMANDS
from wherry_engine.daemon.config_keys import REFUSED, SECTIONS, Key
from wherry_engine.daemon.reload import LIVE
from wherry_engine.loader.catalog import BUILT_IN, catalog
from wherry_engine.loader.families import FAMILIES
from wherry_engine.loader.report import detail

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOTICE = "<!-- Written by scripts/references.py from the code; edit the code and run it. -->\n"

SCOPES = {
    "CONFIG": ("For the whole engine", "in the configuration file"),
    "OPTIONS": ("For one object", "by `--opt` when it is created (`--log-opt` for a container's log)"),
    "ENDPOINT_OPTIONS": ("For one endpoint", "by `--driver-opt` when a container is connected"),
}


def hooks() -> str:
    """docs/hooks.md: each family's contract, in the words of its specification."""
    parts = ["# Hooks of the driver families\n", NOTICE]
    parts.append(f"Every driver: {inspect.getdoc(DriverSpec)}\n")
    for family, spec in FAMILIES.items():
        parts.append(f"## {family} (`wherry.{family}.v{spec.MAJOR}`)\n")
        parts.append(f"`wherry.spec.{family}.{spec.__name__}`: {inspect.getdoc(spec)}\n")
        parts.extend(_hook(spec, name) for name in _hooks_of(spec))
    return "\n".join(parts)


def _hooks_of(spec: type[DriverSpec]) -> list[str]:
    names = [name for name in dir(spec) if hasattr(getattr(spec, name), "wherry_spec")]
    return sorted(
        names, key=lambda name: (name not in spec.__abstractmethods__, inspect.getsourcelines(getattr(spec, name))[1])
    )


def _hook(spec: type[DriverSpec], name: str) -> str:
    function = getattr(spec, name)
    needed = "required" if name in spec.__abstractmethods__ else "optional"
    signature = str(inspect.signature(function)).replace("(self, ", "(").replace("(self)", "()").replace("'", "")
    return f"### {name} ({needed})\n\n```python\n{name}{signature}\n```\n\n{inspect.getdoc(function)}\n"


def options() -> str:
    """docs/options.md: what each built-in driver can be told, at each scope."""
    parts = ["# Options of the built-in drivers\n", NOTICE]
    parts.append("`wherry plugin inspect FAMILY/NAME` prints the same for any installed driver.\n")
    for entry in catalog():
        if entry.distribution == BUILT_IN and entry.family in FAMILIES:
            found = detail(entry)
            parts.append(f"## {entry.family}/{entry.name}\n")
            parts.append(f"{found.summary}\n")
            parts.extend(_scopes({scope: list(infos) for scope, infos in found.options.items() if infos}))
    return "\n".join(parts)


def _scopes(scopes: dict[str, list[OptionInfo]]) -> Iterator[str]:
    if not scopes:
        yield "It has no options.\n"
    for scope, infos in scopes.items():
        title, how = SCOPES[scope]
        rows = "\n".join(_row(info) for info in infos)
        yield f"{title}, {how}:\n\n| option | default | meaning |\n|---|---|---|\n{rows}\n"


def _row(info: OptionInfo) -> str:
    default = "(required)" if info.required else f"`{info.default}`" if info.default else ""
    choices = f" One of {', '.join(f'`{choice}`' for choice in info.choices)}." if info.choices else ""
    secret = " Secret: never shown." if info.secret else ""
    meaning = f"{info.help}.{choices}{secret}".replace("..", ".").replace("|", "\\|")
    return f"| `{info.key}` | {default} | {meaning} |"


def configuration() -> str:
    """docs/configuration.md: every key of the daemon's file, with its flag."""
    parts = ["# The configuration of wherryd\n", NOTICE]
    parts.append(
        "What follows stands in `/etc/wherry/daemon.json`, or in the file that `--config-file` names, or is said by flags; nothing may "
        "be said by both, runtimes excepted. `wherryd --validate` checks it all and starts nothing. Unknown keys are refused with "
        "their near matches. SIGHUP reads the file again: keys marked * change at once, for containers that are made from then "
        "on, and the log tells which others wait for the next start. A faulty file changes nothing.\n"
    )
    for title, keys in SECTIONS.items():
        rows = "".join(map(_key, keys))
        parts.append(f"## {title}\n\n| key | flag | default | meaning |\n|---|---|---|---|\n{rows}")
    refused = "".join(f"| `{name}` | {why} |\n" for name, why in sorted(REFUSED.items()))
    parts.append(
        "## Keys of Docker's that this engine refuses\n\nUnless they ask for nothing, as `false` or an empty list does.\n\n"
        f"| key | what to do instead |\n|---|---|\n{refused}"
    )
    return "\n".join(parts)


def _key(key: Key) -> str:
    name = f"`{key.name}`" + (" *" if key.sets in LIVE else "")
    flags = ", ".join(f"`{flag}`" for flag in key.words)
    return f"| {name} | {flags} | {key.default} | {key.help} |\n".replace("|  |", "| |")


def command_line() -> str:
    """docs/cli.md: every command with its flags, as the parser knows them."""
    parts = ["# The command line\n", NOTICE]
    parts.append("Names, flags, output and exit codes are those of Docker's client where it has the same command.\n")
    parts.append("## wherry\n\n```\nwherry [OPTIONS] COMMAND\n```\n")
    parts.append(_flags(GLOBAL_OPTIONS))
    for name in sorted(COMMANDS, key=lambda name: (" " not in name, name)):
        command = load(name)
        parts.append(
            f"## wherry {name}\n\n{command.summary}\n\n```\nwherry {name} {command.usage}".rstrip() + "\n```\n"
        )
        if aliases := sorted(alias for alias, target in ALIASES.items() if target == name):
            parts.append("Also: " + ", ".join(f"`wherry {alias}`" for alias in aliases) + ".\n")
        parts.append(_flags(command.options))
    return "\n".join(filter(None, parts))


def _flags(options: Sequence[Option]) -> str:
    rows = []
    for option in sorted((option for option in options if not option.hidden), key=lambda option: option.long):
        names = f"`-{option.short}`, " if option.short else ""
        value = "" if option.kind == "bool" else f" {option.kind}"
        meaning = help_text(option).replace("|", "\\|")
        rows.append(f"| {names}`--{option.long}{value}` | {meaning} |\n")
    return f"| flag | meaning |\n|---|---|\n{''.join(rows)}" if rows else ""


def main(arguments: list[str]) -> int:
    """1 when --check finds a reference that is not as the code has it."""
    stale = []
    pages = {
        "cli.md": command_line(), "configuration.md": configuration(), "hooks.md": hooks(), "options.md": options(),
    }  # fmt: skip
    for name, text in pages.items():
        path = DOCS / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.write_text(text)
            print(f"wrote {path}")
    if stale and "--check" in arguments:
        print(f"not as the code has it: {', '.join(map(str, stale))}; run python -m scripts.references")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
