"""Write the references in docs/ from the code: the command line, the hooks of every family, the options of every driver.

python -m scripts.references            write docs/cli.md, docs/hooks.md and docs/options.md
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
    for name, text in {"cli.md": command_line(), "hooks.md": hooks(), "options.md": options()}.items():
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
