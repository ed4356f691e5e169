"""How a command fails: a text for stderr and an exit status."""

from __future__ import annotations


class CliError(Exception):
    """Ends the program with `status` after `text` has gone to stderr (nothing, if the text is empty)."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


class FlagError(Exception):
    """A flag that is unknown, incomplete or has an impossible value; whoever parses adds the command's usage."""
