"""Which HTTP status each kind of error has."""

from __future__ import annotations

from wherry.errors import WherryError

STATUSES = {
    "not-modified": 304,
    "invalid": 400,
    "forbidden": 403,
    "not-found": 404,
    "conflict": 409,
    "system": 500,
    "unsupported": 501,
    "unavailable": 503,
}


def status_of(error: WherryError) -> int:
    """The status that a client gets for this error."""
    return STATUSES.get(error.kind, 500)
