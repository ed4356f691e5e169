"""This terminal: its size, its raw mode, and the keys that disconnect it from a container."""

from __future__ import annotations

import os

from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

DETACH_KEYS = "ctrl-p,ctrl-q"

_CONTROLS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def size(descriptor: int) -> tuple[int, int] | None:
    """(lines, columns) of a terminal, None if it is none or does not know."""
    try:
        found = os.get_terminal_size(descriptor)
    except OSError:
        return None
    return (found.lines, found.columns) if found.lines or found.columns else None


def check_stdin(*, stdin: bool, tty: bool) -> None:
    """Refuse to connect something that is no terminal to a container's terminal. Raises CliError."""
    if stdin and tty and not os.isatty(0):
        raise CliError("the input device is not a TTY")


class Raw:
    """While entered, a terminal passes every key on: no echo, no line editing, no signals."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None

    def __enter__(self) -> Raw:
        import termios
        import tty

        if os.isatty(self._descriptor):
            self._before = termios.tcgetattr(self._descriptor)
            tty.setraw(self._descriptor, termios.TCSANOW)  # keeps what was typed ahead
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import termios

        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)


def parse_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,b` as the bytes that a terminal sends. Raises CliError."""
    keys = bytearray()
    for key in text.split(",") if text else []:
        letter = key.removeprefix("ctrl-")
        if (
            key.startswith("ctrl-")
            and len(letter) == 1
            and (letter in _CONTROLS or letter.lower() in "abcdefghijklmnopqrstuvwxyz")
        ):
            keys.append(_CONTROLS[letter] if letter in _CONTROLS else ord(letter.lower()) - 96)
        elif len(key) == 1 and key.isascii():
            keys.append(ord(key))
        else:
            raise CliError(
                f"invalid detach keys ({text}): {key!r} is neither a character nor ctrl- with a letter or one of @[\\]^_"
            )
    return bytes(keys)


class DetachKeys:
    """Looks for a sequence in what is typed. What may be its beginning is held back until the next key decides."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what to pass on, whether the sequence is complete); what follows the sequence is dropped."""
        if not self._keys:
            return data, False
        out = bytearray()
        for at in range(len(data)):
            self._held += data[at : at + 1]
            while self._held and not self._keys.startswith(self._held):
                out += self._held[:1]
                self._held = self._held[1:]
            if self._held == self._keys:
                self._held = b""
                return bytes(out), True
        return bytes(out), False
