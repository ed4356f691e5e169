"""Archives that the engine sends, written to stdout or to a file that appears when it is whole."""

from __future__ import annotations

import os

from wherry_cli.errors import CliError
from wherry_cli.streams import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def check_target(name: str, what: str) -> None:
    """Raise CliError if `name` cannot become a file; `what` is not done then ("save image")."""
    folder = os.path.dirname(name) or "."
    if os.path.isdir(name):
        raise CliError(f"failed to {what}: cannot write to a directory")
    if name and not os.path.isdir(folder):
        raise CliError(f"failed to {what}: invalid output path: stat {folder}: no such file or directory")


def write_to(name: str, pieces: Iterable[bytes]) -> None:
    """Write all to the file `name`, or to stdout if that is empty. A failure leaves the file that was there."""
    if not name:
        for data in pieces:
            write_all(1, data)
        return
    folder, last = os.path.split(name)
    part = os.path.join(folder, f".{last}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            for data in pieces:
                write_all(descriptor, data)
        finally:
            os.close(descriptor)
        os.replace(part, name)
    except BaseException as error:
        if os.path.exists(part):
            os.unlink(part)
        if isinstance(error, OSError):
            raise CliError(f"{name} cannot be written: {error.strerror}") from error
        raise
