"""The table of routes, and how a path finds its handler."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping

import attrs
from aiohttp import web

from wherry_api.call import Call

Handler = Callable[[Call], Awaitable[web.StreamResponse]]

_PARAMETER = re.compile(r"\{(\w+)\}")
# These names hold slashes, so that a path goes on only after the last; other names and ids hold none.
_SLASHED = ("/images/", "/plugins/")
_LINK = "/containers/{id}"  # what is removed may be a link, CONTAINER/ALIAS


@attrs.frozen
class Route:
    """One operation: its method, its path as an API document writes it, and what answers."""

    method: str
    path: str
    handler: Handler

    @property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression with a group for each parameter."""
        value = ".+" if self.path.startswith(_SLASHED) or self.path == _LINK else "[^/]+"
        return re.compile(_PARAMETER.sub(rf"(?P<\1>{value})", self.path))


class Router:
    """Finds the route of a method and a path: by the whole path, else by the patterns under its first segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Handler] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = {}
        for route in routes:
            if "{" in route.path:
                key = (route.method, route.path.split("/")[1])
                self._patterns.setdefault(key, []).append((route.pattern, route.handler))
            else:
                self._fixed[route.method, route.path] = route.handler

    def find(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]] | None:
        """The handler with the path's parameters; None if there is none."""
        handler = self._fixed.get((method, path))
        if handler is not None:
            return handler, {}
        if path.endswith("/") and (handler := self._fixed.get((method, path[:-1]))) is not None:
            return handler, {}
        first = path[1:].partition("/")[0]
        for pattern, handler in self._patterns.get((method, first), ()):
            if match := pattern.fullmatch(path):
                return handler, match.groupdict()
        return None
