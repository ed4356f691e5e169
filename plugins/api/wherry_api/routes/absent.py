"""What Docker does and this engine does not yet: whoever asks for it is told so, and what works instead."""

from __future__ import annotations

import re

from wherry.errors import Unsupported

_ABSENT = (
    (re.compile(r"GET /images/search"), "cannot search: this engine does not talk to image registries yet"),
    (
        re.compile(r"POST /images/(?P<name>.+)/push"),
        "cannot push {name}: this engine does not talk to image registries yet; `save` writes an archive of it",
    ),
    (
        re.compile(r"GET /distribution/(?P<name>.+)/json"),
        "cannot look {name} up: this engine does not talk to image registries yet",
    ),
    (
        re.compile(r"POST /build"),
        "cannot build: this engine does not build images yet; `load`, `import` and `commit` make them",
    ),
)


def refuse(method: str, path: str) -> None:
    """Raise `Unsupported` for one of these. Other paths pass."""
    for pattern, text in _ABSENT:
        if found := pattern.fullmatch(f"{method} {path}"):
            raise Unsupported(text.format(**found.groupdict()))
