"""A template, parsed once and rendered for any data."""

from __future__ import annotations

from wherry_cli.output.template.functions import functions
from wherry_cli.output.template.lexer import split
from wherry_cli.output.template.nodes import Scope
from wherry_cli.output.template.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Template:
    """A parsed template. Raises TemplateError when made or rendered."""

    def __init__(self, source: str) -> None:
        self._body = Parser(split(source)).body(())[0]

    def render(self, data: Any, known: Mapping[str, Callable[..., Any]] | None = None) -> str:
        """The text for `data`."""
        return self._body(Scope(data, {"$": data}, functions() if known is None else known))
