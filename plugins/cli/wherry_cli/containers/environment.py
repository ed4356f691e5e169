"""Environment variables and labels, from flags and from files."""

from __future__ import annotations

from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def environment(files: Sequence[str], given: Sequence[str], outside: Mapping[str, str]) -> list[str]:
    """NAME=VALUE texts: those of the files, then the given ones. Raises CliError.

    A bare NAME takes the value of `outside`; if that has none, a file's line is dropped, and a flag's is sent bare,
    which takes the variable away from what the image sets.
    """
    found = [text for path in files for text in _file_variables(path, outside)]
    for text in given:
        name, equals, _ = text.partition("=")
        found.append(f"{name}={outside[name]}" if not equals and name in outside else text)
    return found


def _file_variables(path: str, outside: Mapping[str, str]) -> Iterator[str]:
    for line in _lines(path):
        name, equals, value = line.partition("=")
        if not name:
            raise CliError(f"invalid env file ({path}): no variable name on line '{line}'", 125)
        if any(letter.isspace() for letter in name):
            raise CliError(f"invalid env file ({path}): variable '{name}' contains whitespaces", 125)
        if equals:
            yield f"{name}={value}"
        elif name in outside:
            yield f"{name}={outside[name]}"


def labels(files: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Labels of the files, then the given ones; one without a value has an empty one. Raises CliError."""
    texts = [line for path in files for line in _lines(path)] + list(given)
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _lines(path: str) -> Iterator[str]:
    """The lines of a file that say something, without the space in front. Raises CliError."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise CliError(f"open {path}: {(error.strerror or '').lower()}", 125) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CliError(f"invalid env file ({path}): it is not UTF-8 text", 125) from None
    for line in text.split("\n"):
        line = line.removesuffix("\r").lstrip()
        if line and not line.startswith("#"):
            yield line
