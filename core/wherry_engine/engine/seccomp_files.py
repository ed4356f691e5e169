"""A caller's own seccomp profile: the JSON that `--security-opt seccomp=FILE` brings, in Docker's format."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from wherry.errors import Invalid
from wherry.linux.seccomp.rules import MACHINES, Argument, Rule, section, this_host


def profile(name: str) -> str:
    """What the configuration's `seccomp-profile` means where a profile's text is expected: a path stands for its file.

    Raises `Invalid` if that cannot be read.
    """
    if not name.startswith("/"):
        return name
    try:
        return Path(name).read_text()
    except OSError as error:
        raise Invalid(f"the seccomp profile {name} cannot be read: {error.strerror}") from error


def section_of_file(text: str, capabilities: Collection[str]) -> dict[str, Any]:
    """The OCI section that the profile comes to for a container with these capabilities. Raises `Invalid`."""
    try:
        profile = json.loads(text)
    except ValueError as error:
        raise Invalid(f"Decoding seccomp profile failed: {error}") from error
    if not isinstance(profile, dict) or not isinstance(profile.get("defaultAction"), str):
        raise Invalid("Decoding seccomp profile failed: it is no object with a defaultAction")
    try:
        rules = [rule for entry in profile.get("syscalls") or () for rule in _rules(entry)]
        result = section(
            rules,
            capabilities,
            this_host(),
            default_action=profile["defaultAction"],
            default_errno=profile.get("defaultErrnoRet"),
            architectures=_architectures(profile),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"Decoding seccomp profile failed: {error!r}") from error
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if profile.get(key):
            result[key] = profile[key]
    return result


def _architectures(profile: Mapping[str, Any]) -> Collection[str]:
    plain, mapped = profile.get("architectures"), profile.get("archMap")
    if plain and mapped:
        raise Invalid("use either 'architectures' or 'archMap' in the seccomp profile, not both")
    if plain:
        return tuple(plain)
    native = MACHINES.get(this_host().machine, ("", ()))[1][:1]
    for entry in mapped or ():
        if (entry["architecture"],) == native:
            return (*native, *(entry.get("subArchitectures") or ()))
    return ()


def _rules(entry: Mapping[str, Any]) -> list[Rule]:
    name, names = entry.get("name"), entry.get("names")
    if name and names:
        raise Invalid("use either 'name' or 'names' in a rule of the seccomp profile, not both")
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    rule = Rule(
        (name,) if name else tuple(names or ()),
        action=entry["action"],
        errno=entry.get("errnoRet"),
        arguments=tuple(
            Argument(int(a["index"]), int(a["value"]), str(a["op"]), int(a.get("valueTwo", 0)))
            for a in entry.get("args") or ()
        ),
        with_capabilities=frozenset(includes.get("caps") or ()),
        without_capabilities=frozenset(excludes.get("caps") or ()),
        machines=frozenset(includes.get("arches") or ()),
        not_machines=frozenset(excludes.get("arches") or ()),
        kernel=_version(includes.get("minKernel") or "0.0"),
    )
    return [rule]


def _version(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a kernel version such as 4.8")
    return int(match[1]), int(match[2])
