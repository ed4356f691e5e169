"""What several commands share: filters, and doing one thing to many names."""

from __future__ import annotations

from wherry_cli.errors import CliError
from wherry_cli.options import Option
from wherry_client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry_cli.app import App

LIST_FORMAT_HELP = (
    "Print each item with this template: 'table' for the usual columns with a head, 'table TEMPLATE' for columns of your choice, "
    "'json' for one JSON object a line, or a template of its own such as '{{.ID}}'."
)
INSPECT_FORMAT_HELP = "Print each object with this template instead of as indented JSON: 'json' for one line, or a template such as '{{.Name}}'."
LIST_FORMAT = Option("format", "", "string", LIST_FORMAT_HELP)
NO_TRUNC = Option("no-trunc", "", "bool", "Show ids and texts in full.")


def filters(given: Sequence[str]) -> str | None:
    """`name=value` texts as the API's filters."""
    if not any(given):
        return None
    from json import dumps

    wanted: dict[str, dict[str, bool]] = {}
    for text in filter(None, given):
        name, _, value = text.partition("=")
        wanted.setdefault(name.strip().lower(), {})[value.strip()] = True
    return dumps(wanted, separators=(",", ":"))


def each(app: App, names: Sequence[str], action: Callable[[str], str]) -> int:
    """Do `action` to every name and print what it returns; errors go to stderr and the rest still happens."""
    failed = False
    for name in names:
        try:
            text = action(name)
        except ApiError as error:
            app.say(str(error))
            failed = True
        else:
            if text:
                app.print(text)
    return 1 if failed else 0


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` or `name` texts as a mapping."""
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def strict_pairs(texts: Sequence[str], flag: str) -> dict[str, str]:
    """`name=value` texts as a mapping. Raises CliError where there is no =."""
    for text in texts:
        if "=" not in text:
            raise CliError(f'invalid argument "{text}" for "{flag}" flag: {text} must be formatted as key=value', 125)
    return pairs(texts)


def path_name(name: str) -> str:
    """A container's, network's or volume's name inside a path."""
    from wherry_client.query import quote

    return quote(name, "/:@")
