"""wherryd's command line, made of the keys of the configuration. A flag's words become what the file would hold."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from wherry.errors import Invalid
from wherry.toolkit.units import boolean
from wherry_engine.daemon.config import DEFAULT_FILE
from wherry_engine.daemon.config_keys import KEYS, SECTIONS, Form, Key

OWN = ("config_file", "validate", "insecure_tcp")  # what flags alone can say


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="wherryd", description="The Wherry container engine.", allow_abbrev=False)
    add = result.add_argument
    add(
        "--config-file",
        metavar="FILE",
        help=f"Read the configuration from FILE (default {DEFAULT_FILE}, if it is there).",
    )
    add("--validate", action="store_true", help="Say whether flags and file are right, and end.")
    add("--version", "-v", action="version", version=f"wherryd {version('wherry')}")
    add("--insecure-tcp", action="store_true", default=None,
        help="Allow tcp:// to clients that show no certificate: whoever reaches the port is root on this host.")  # fmt: skip
    for title, keys in SECTIONS.items():
        group = result.add_argument_group(title)
        for key in keys:
            if key.words:
                group.add_argument(*key.words, dest=key.name, help=_help(key).replace("%", "%%"), **_how(key))
    return result


def _help(key: Key) -> str:
    again = "" if key.form in (Form.ONE, Form.TRUTH, Form.NUMBER) else " May be given several times."
    return key.help + again + (f" Default: {key.default}." if key.default else "")


def _how(key: Key) -> dict[str, Any]:
    if key.form is Form.TRUTH:
        return {"nargs": "?", "const": True, "type": boolean, "metavar": "true|false"}
    if key.form is Form.NUMBER:
        return {"type": int, "metavar": key.metavar}
    return {"metavar": key.metavar} if key.form is Form.ONE else {"metavar": key.metavar, "action": "append"}


def given_by_flags(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """What the flags say, by key, in the form of the file. Raises `Invalid` with every fault."""
    found, faults = {}, []
    for name, value in parsed.items():
        if value is not None and name not in OWN:
            try:
                found[name] = _FORMS.get(KEYS[name].form, _as_it_is)(value)
            except ValueError as error:
                faults.append(f"{KEYS[name].words[0]}: {error}")
    if faults:
        raise Invalid("; ".join(faults))
    return found


def _as_it_is(value: Any) -> Any:
    return value


def _pairs(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not (name and separator):
            raise ValueError(f"{word!r} must be NAME=VALUE")
        found[name] = value
    return found


def _ulimits(words: Sequence[str]) -> dict[str, Any]:
    found = {}
    for name, value in _pairs(words).items():
        soft, _, hard = value.partition(":")
        try:
            found[name] = {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}
        except ValueError as error:
            raise ValueError(f"{name}={value} must be NAME=SOFT or NAME=SOFT:HARD, in numbers") from error
    return found


def _pools(words: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for word in words:
        each = _pairs(word.split(","))
        if set(each) != {"base", "size"} or not each["size"].isdecimal():
            raise ValueError(f"{word!r} must be as base=10.10.0.0/16,size=24")
        found.append({"base": each["base"], "size": int(each["size"])})
    return found


def _runtimes(words: Sequence[str]) -> dict[str, Any]:
    return {name: {"path": path} for name, path in _pairs(words).items()}


_FORMS: Mapping[Form, Callable[[Any], Any]] = {
    Form.PAIRS: _pairs, Form.ULIMITS: _ulimits, Form.POOLS: _pools, Form.RUNTIMES: _runtimes,
}  # fmt: skip
