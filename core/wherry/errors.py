"""The errors of the engine and its drivers: a kind each, with what failed and what would have worked.

A kind says nothing of HTTP; whoever serves the API maps kinds to statuses. An error's text is a complete sentence's
worth of information for its reader: the thing's name, what is wrong with it and, where there is one, the way out.
"""

from __future__ import annotations


class WherryError(Exception):
    """Base of every error that the engine raises on purpose. Anything else that escapes is a bug."""

    kind = "system"

    @property
    def text(self) -> str:
        """The message, for a person."""
        return str(self.args[0]) if self.args else type(self).__name__


class NotFound(WherryError):
    """The named thing does not exist."""

    kind = "not-found"


class Conflict(WherryError):
    """The thing is in use, exists already with other properties, or is in a state that forbids the request."""

    kind = "conflict"


class Invalid(WherryError):
    """The caller's input cannot be right; nothing was done."""

    kind = "invalid"


class Forbidden(WherryError):
    """The input is understood and refused by policy."""

    kind = "forbidden"


class Unsupported(WherryError):
    """This host or this driver cannot do it. Shown as skipped, not as broken."""

    kind = "unsupported"


class Unavailable(WherryError):
    """Not now: a server or another process does not answer. Trying again later may work."""

    kind = "unavailable"


class NotModified(WherryError):
    """The thing is in the requested state already."""

    kind = "not-modified"


class Failed(WherryError):
    """A step of an operation failed for a reason outside the caller's input. Names the step and, if one was asked, the driver."""

    kind = "system"


KINDS: dict[str, type[WherryError]] = {
    c.kind: c for c in (Failed, NotFound, Conflict, Invalid, Forbidden, Unsupported, Unavailable, NotModified)
}
