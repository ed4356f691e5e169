"""Flags as Docker's clients read them (POSIX, GNU long forms, joined short ones), from a table per command.

The table serves the parser, the help and the tests of both. Written by hand because argparse takes 6 ms to import,
knows neither `--flag=false` nor Docker's texts, and a command line is parsed once.
"""

from __future__ import annotations

from wherry_cli.errors import FlagError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Option:
    """One flag. `kind` is the word that help shows for its value; "bool" takes none; kinds in LISTS repeat."""

    __slots__ = ("check", "default", "help", "hidden", "kind", "long", "short", "shown", "target")

    def __init__(
        self,
        long: str,
        short: str,
        kind: str,
        help: str,
        default: Any = None,
        *,
        shown: str = "",
        target: str = "",
        check: Callable[[str], object] | None = None,
    ) -> None:
        self.long = long
        self.short = short
        self.kind = kind
        self.help = help
        self.default: Any = default if default is not None else [] if kind in LISTS else EMPTY.get(kind)
        self.shown = shown
        self.target = target or long  # an old name writes to another option's value, and help does not show it
        self.hidden = bool(target)
        self.check = check

    @property
    def label(self) -> str:
        """`-n, --last`, as messages name it."""
        return f"-{self.short}, --{self.long}" if self.short else f"--{self.long}"


LISTS = frozenset({"list", "filter", "map", "mount", "network", "ulimit", "gpu-request", "strings"})
EMPTY: dict[str, Any] = {"bool": False, "string": "", "int": 0, "uint16": 0, "bytes": 0, "decimal": "", "duration": 0}


class Values:
    """The parsed flags of one command, by long name; `given` holds the names that the user wrote."""

    __slots__ = ("_values", "given")

    def __init__(self, options: Sequence[Option]) -> None:
        self._values: dict[str, Any] = {
            option.long: list(option.default) if option.kind in LISTS else option.default
            for option in options
            if not option.hidden
        }
        self.given: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def put(self, option: Option, text: str) -> None:
        """Take one value from the command line. Raises FlagError."""
        name = option.target
        try:
            value = convert(option.kind, text)
            if option.check is not None:
                option.check(text)
        except ValueError as error:
            raise FlagError(f'invalid argument "{text}" for "{option.label}" flag: {error}') from None
        self.given.add(name)
        if option.kind == "strings":
            self._values[name].extend(value.split(","))
        elif option.kind in LISTS:
            self._values[name].append(value)
        else:
            self._values[name] = value


def convert(kind: str, text: str) -> Any:
    """The value that `text` means to a flag of that kind. Raises ValueError."""
    if kind == "bool":
        return boolean(text)
    if kind in ("int", "uint16"):
        return integer(text, 0 if kind == "uint16" else None)
    if kind == "bytes":
        from wherry_cli.output.human import parse_size

        return -1 if text == "-1" else parse_size(text)
    if kind == "duration":
        from wherry_cli.output.human import parse_duration

        return parse_duration(text)
    if kind == "filter" and text and "=" not in text:
        raise ValueError("bad format of filter (expected name=value)")
    return text


def boolean(text: str) -> bool:
    """Go's spellings of a truth value. Raises ValueError."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError("say true or false")


def integer(text: str, least: int | None = None) -> int:
    """A whole number, perhaps with a sign. Raises ValueError."""
    if not text.lstrip("+-").isdecimal() or (least is not None and int(text) < least):
        raise ValueError(
            "a whole number is expected" if least is None else f"a whole number of at least {least} is expected"
        )
    return int(text)


def parse(
    options: Sequence[Option], arguments: Sequence[str], *, interspersed: bool = True
) -> tuple[Values, list[str]]:
    """Flags and remaining words of a command line. Without `interspersed` the first word ends the flags.

    Raises FlagError. "help" is given if --help, or -h where that means nothing else, was.
    """
    longs = {option.long: option for option in options}
    shorts = {option.short: option for option in options if option.short}
    values, at = Values(options), 0
    words: list[str] = []
    while at < len(arguments):
        word = arguments[at]
        at += 1
        if word == "--":
            return values, [*words, *arguments[at:]]
        if word.startswith("--"):
            at = _long(longs, values, word[2:], arguments, at)
        elif word.startswith("-") and word != "-":
            at = _short(shorts, values, word[1:], arguments, at)
        elif interspersed:
            words.append(word)
        else:
            return values, [word, *arguments[at:]]
    return values, words


def _long(longs: dict[str, Option], values: Values, text: str, arguments: Sequence[str], at: int) -> int:
    name, has_value, value = text.partition("=")
    option = longs.get(name)
    if option is None:
        if name == "help":
            values.given.add("help")
            return at
        raise FlagError(f"unknown flag: --{name}")
    if not has_value:
        if option.kind == "bool":
            value = "true"
        elif at < len(arguments):
            value = arguments[at]
            at += 1
        else:
            raise FlagError(f"flag needs an argument: --{name}")
    values.put(option, value)
    return at


def _short(shorts: dict[str, Option], values: Values, text: str, arguments: Sequence[str], at: int) -> int:
    letters = text
    while letters:
        letter, letters = letters[0], letters[1:]
        option = shorts.get(letter)
        if option is None and letter == "h":
            values.given.add("help")
            continue
        if option is None:
            raise FlagError(f"unknown shorthand flag: '{letter}' in -{text}")
        if letters.startswith("="):
            values.put(option, letters[1:])
            return at
        if option.kind == "bool":
            values.put(option, "true")
            continue
        if letters:
            values.put(option, letters)
            return at
        if at >= len(arguments):
            raise FlagError(f"flag needs an argument: '{letter}' in -{text}")
        values.put(option, arguments[at])
        return at + 1
    return at
