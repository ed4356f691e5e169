"""`--change` of import and commit: a few Dockerfile instructions applied to an image's run configuration."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from wherry.errors import Invalid
from wherry.toolkit.units import duration

Run = dict[str, Any]
_PORTS = re.compile(r"\d{1,5}(-\d{1,5})?")


def apply_changes(run: Run, changes: Sequence[str]) -> Run:
    """`run` (an image config's "config" object) after these instructions. Raises `Invalid` for one that is unknown."""
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        handler = _HANDLERS.get(word.upper())
        if handler is None:
            raise Invalid(f"{word.lower()} is not a valid change command; known are {', '.join(sorted(_HANDLERS))}")
        try:
            run = handler(dict(run), rest.strip())
        except ValueError as error:
            raise Invalid(f"change {change!r} cannot be understood: {error}") from error
    words = {change.split(maxsplit=1)[0].upper() for change in changes}
    # A new entry point takes the command away that was for the old one.
    return {**run, "Cmd": None} if "ENTRYPOINT" in words and "CMD" not in words else run


def _form(rest: str) -> list[str]:
    """The exec form ["a", "b"], else the shell form."""
    if rest.startswith("["):
        parsed = json.loads(rest)
        if not all(isinstance(item, str) for item in parsed):
            raise ValueError("the exec form is a list of texts")
        return list(parsed)
    return ["/bin/sh", "-c", rest]


def _pairs(instruction: str, rest: str) -> dict[str, str]:
    words = shlex.split(rest)
    if len(words) > 1 and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    if not words or not all("=" in word for word in words):
        raise ValueError(f"{instruction} must have two arguments, as KEY=VALUE")
    return dict(word.split("=", 1) for word in words)


def _one(instruction: str, field: str) -> Callable[[Run, str], Run]:
    def handler(run: Run, rest: str) -> Run:
        if not rest:
            raise ValueError(f"{instruction} requires exactly one argument")
        return {**run, field: rest}

    return handler


def _env(run: Run, rest: str) -> Run:
    kept = dict(entry.partition("=")[::2] for entry in run.get("Env") or ())
    return {**run, "Env": [f"{key}={value}" for key, value in {**kept, **_pairs("ENV", rest)}.items()]}


def _label(run: Run, rest: str) -> Run:
    return {**run, "Labels": {**(run.get("Labels") or {}), **_pairs("LABEL", rest)}}


def _expose(run: Run, rest: str) -> Run:
    ports: dict[str, Any] = {}
    for text in rest.split():
        numbers, _, protocol = text.partition("/")
        if not _PORTS.fullmatch(numbers):
            raise ValueError(f"invalid containerPort: {text}")
        first, _, last = numbers.partition("-")
        ports |= {f"{port}/{protocol or 'tcp'}": {} for port in range(int(first), int(last or first) + 1)}
    return {**run, "ExposedPorts": {**(run.get("ExposedPorts") or {}), **ports}}


def _volume(run: Run, rest: str) -> Run:
    paths = json.loads(rest) if rest.startswith("[") else rest.split()
    return {**run, "Volumes": {**(run.get("Volumes") or {}), **{path: {} for path in paths}}}


def _healthcheck(run: Run, rest: str) -> Run:
    """`NONE`, or options as --interval=30s and then `CMD` with its exec form or shell form."""
    words, health = rest.split(), dict[str, Any]()
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0)[2:].partition("=")
        if name not in _HEALTH:
            raise ValueError(f"HEALTHCHECK has no option --{name}; it has --{', --'.join(_HEALTH)}")
        health[_HEALTH[name]] = int(value) if name == "retries" else int(duration(value) * 1e9)
    kind = words[0].upper() if words else ""
    if kind not in ("NONE", "CMD"):
        raise ValueError("HEALTHCHECK is followed by NONE or CMD")
    test = rest[rest.upper().index(kind) + len(kind) :].strip()
    exec_form = ["CMD", *_form(test)] if test.startswith("[") else ["CMD-SHELL", test]
    return {**run, "Healthcheck": {"Test": exec_form if kind == "CMD" else ["NONE"], **health}}


_HEALTH = {
    "interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval",
    "retries": "Retries",
}  # fmt: skip
_HANDLERS: dict[str, Callable[[Run, str], Run]] = {
    "CMD": lambda run, rest: {**run, "Cmd": _form(rest)},
    "ENTRYPOINT": lambda run, rest: {**run, "Entrypoint": _form(rest)},
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": lambda run, rest: {**run, "OnBuild": [*(run.get("OnBuild") or ()), rest]},
    "STOPSIGNAL": _one("STOPSIGNAL", "StopSignal"),
    "USER": _one("USER", "User"),
    "VOLUME": _volume,
    "WORKDIR": lambda run, rest: {**run, "WorkingDir": posixpath.join("/", run.get("WorkingDir") or "", rest)},
}
