"""wherry events."""

from __future__ import annotations

import sys
import time

from wherry_cli.app import App, Command
from wherry_cli.commands._common import filters
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output.human import nanoseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OPTIONS = (
    Option(
        "filter",
        "f",
        "filter",
        "Show only events that match, such as 'type=container' or 'event=die'. May be repeated.",
    ),
    Option(
        "format",
        "",
        "string",
        "Print each event with this template instead of as a line: 'json', or a template such as '{{.Action}}'.",
    ),
    Option("since", "", "string", "Begin with what happened then: a duration back from now, a unix time or a date."),
    Option("until", "", "string", "End at that time, given in the same ways."),
)

_FIELDS = {
    "Status": "status",
    "ID": "id",
    "From": "from",
    "Type": "Type",
    "Action": "Action",
    "Actor": "Actor",
    "Scope": "scope",
    "Time": "time",
    "TimeNano": "timeNano",
}


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Print events until the engine ends the stream."""
    show = _form(values["format"])
    query = {"since": moment(values["since"]), "until": moment(values["until"]), "filters": filters(values["filter"])}
    response = app.client.request("GET", "/events", query)
    try:
        for event in response.objects():
            app.print(show(event))
            sys.stdout.flush()
    finally:
        response.close()
    return 0


def moment(text: str) -> str:
    """What --since or --until says, for the API. Raises CliError."""
    try:
        return nanoseconds(text) if text else ""
    except ValueError as error:
        raise CliError(str(error)) from None


def _form(form: str) -> Callable[[Any], str]:
    if not form:
        return _line
    if form == "json":
        return _json
    from wherry_cli.output.template import Template, TemplateError

    try:
        template = Template(form)
        template.render(_Event({}))  # a field that no event has is refused before the first one is waited for
    except TemplateError as error:
        raise CliError(f"Error parsing format: {error}", 64) from None
    return lambda event: template.render(_Event(event))


def _line(event: Any) -> str:
    nanos = event.get("timeNano") or event.get("time", 0) * 10**9
    shown = time.localtime(nanos // 10**9)
    offset = shown.tm_gmtoff // 60
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}" if offset else "Z"
    actor = event.get("Actor") or {}
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%S', shown)}.{nanos % 10**9:09}{zone} {event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    attributes = ", ".join(f"{name}={value}" for name, value in sorted((actor.get("Attributes") or {}).items()))
    return f"{line} ({attributes})" if attributes else line


def _ordered(event: Any) -> dict[str, Any]:
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes")
    whole = {
        **event,
        "Actor": {
            "ID": actor.get("ID", ""),
            "Attributes": dict(sorted(attributes.items())) if attributes is not None else None,
        },
    }
    return {name: whole[name] for name in _FIELDS.values() if name in whole}


def _json(event: Any) -> str:
    from wherry_cli.output.jsontext import compact

    return compact(_ordered(event))


class _Event:
    """An event as templates see it."""

    __slots__ = ("_event",)

    def __init__(self, event: Any) -> None:
        self._event = _ordered(event)

    def field(self, name: str, given: Any) -> Any:
        """The member `name`; the old ones are empty where an event has none. Raises LookupError."""
        from wherry_cli.output.template.values import typed

        if name not in _FIELDS or given:
            raise LookupError(f"can't evaluate field {name} in type *events.Message")
        return typed(name, self._event.get(_FIELDS[name], ""))

    def plain(self) -> dict[str, Any]:
        """The event as it came."""
        return self._event

    def json(self) -> str:
        """The event as JSON."""
        return _json(self._event)


EVENTS = Command("system events", "[OPTIONS]", "Show what happens in the engine as it happens.", run, OPTIONS)
