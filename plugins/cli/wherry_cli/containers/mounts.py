"""--volume, --mount and --tmpfs."""

from __future__ import annotations

import os

from wherry_cli.options import boolean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

KINDS = ("bind", "volume", "tmpfs", "image", "cluster", "npipe")
PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
RECURSION: dict[str, dict[str, bool]] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def volumes(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """(binds, anonymous volumes' paths) of --volume texts; a source that begins with a dot is made absolute."""
    binds: list[str] = []
    anonymous: list[str] = []
    for text in texts:
        source, colon, rest = text.partition(":")
        if not colon:
            anonymous.append(text)
        elif source.startswith("."):
            binds.append(f"{os.path.abspath(source)}:{rest}")
        else:
            binds.append(text)
    return list(dict.fromkeys(binds)), list(dict.fromkeys(anonymous))


def tmpfs(texts: Sequence[str]) -> dict[str, str]:
    """Options by path."""
    return {path: options for path, _, options in (text.partition(":") for text in texts)}


def fields(text: str) -> list[str]:
    """A comma-separated line, with quotes as in CSV. Raises ValueError."""
    import csv

    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None


def mount(text: str) -> dict[str, Any]:
    """One --mount as the API's Mount. Raises ValueError."""
    found: dict[str, Any] = {"Type": "volume", "Source": "", "Target": ""}
    for field in fields(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals:
            if key not in _SWITCHES:
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        take = _KEYS.get(key)
        if take is None:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
        try:
            take(found, value)
        except _Odd as error:
            raise ValueError(f"invalid value for {key}: {value}{f' ({error})' if str(error) else ''}") from None
    _check(found)
    return found


class _Odd(ValueError):
    """A value that its key cannot take."""


def _check(found: dict[str, Any]) -> None:
    kind = found["Type"]
    if not kind:
        raise ValueError("type is required")
    if not found["Target"]:
        raise ValueError("target is required")
    for member, allowed in (
        ("VolumeOptions", "volume"),
        ("BindOptions", "bind"),
        ("TmpfsOptions", "tmpfs"),
        ("ImageOptions", "image"),
    ):
        if member in found and kind not in (allowed, "cluster"):
            raise ValueError(f"cannot mix '{allowed}-*' options with mount type '{kind}'")
    bind = found.get("BindOptions", {})
    if bind.get("ReadOnlyNonRecursive") and not found.get("ReadOnly"):
        raise ValueError("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive") and not (found.get("ReadOnly") and bind.get("Propagation") == "rprivate"):
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'readonly' and 'bind-propagation=rprivate' to be specified in conjunction"
        )


def _set(*path: str, read: Callable[[str], Any] = str) -> Callable[[dict[str, Any], str], None]:
    """A taker that puts what `read` makes of a value at `path`."""

    def take(found: dict[str, Any], value: str) -> None:
        for name in path[:-1]:
            found = found.setdefault(name, {})
        found[path[-1]] = read(value)

    return take


def _pair(*path: str) -> Callable[[dict[str, Any], str], None]:
    """A taker that adds a NAME=VALUE to the mapping at `path`."""

    def take(found: dict[str, Any], value: str) -> None:
        for name in path:
            found = found.setdefault(name, {})
        key, _, text = value.partition("=")
        found[key] = text

    return take


def _truth(value: str) -> bool:
    try:
        return boolean(value)
    except ValueError:
        raise _Odd("") from None


def _source(value: str) -> str:
    return os.path.abspath(value) if value == "." or value.startswith("./") or value.startswith("../") else value


def _propagation(value: str) -> str:
    if value.lower() not in PROPAGATION:
        raise _Odd(f"one of {', '.join(PROPAGATION)} is expected")
    return value.lower()


def _recursion(found: dict[str, Any], value: str) -> None:
    if value not in RECURSION:
        raise _Odd('must be "enabled", "disabled", "writable", or "readonly"')
    if RECURSION[value]:
        found.setdefault("BindOptions", {}).update(RECURSION[value])


def _bytes(value: str) -> int:
    from wherry_cli.output.human import parse_size

    try:
        return parse_size(value)
    except ValueError:
        raise _Odd("") from None


def _mode(value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise _Odd("an octal number is expected") from None


_READ_ONLY = _set("ReadOnly", read=_truth)
_TARGET = _set("Target")
_SOURCE = _set("Source", read=_source)
_SWITCHES = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-mountpoint")
_KEYS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "type": _set("Type", read=lambda value: value.lower()),
    "source": _SOURCE,
    "src": _SOURCE,
    "target": _TARGET,
    "dst": _TARGET,
    "destination": _TARGET,
    "readonly": _READ_ONLY,
    "ro": _READ_ONLY,
    "consistency": _set("Consistency", read=lambda value: value.lower()),
    "bind-propagation": _set("BindOptions", "Propagation", read=_propagation),
    "bind-nonrecursive": _set("BindOptions", "NonRecursive", read=_truth),
    "bind-create-mountpoint": _set("BindOptions", "CreateMountpoint", read=_truth),
    "bind-recursive": _recursion,
    "volume-subpath": _set("VolumeOptions", "Subpath"),
    "volume-nocopy": _set("VolumeOptions", "NoCopy", read=_truth),
    "volume-label": _pair("VolumeOptions", "Labels"),
    "volume-driver": _set("VolumeOptions", "DriverConfig", "Name"),
    "volume-opt": _pair("VolumeOptions", "DriverConfig", "Options"),
    "image-subpath": _set("ImageOptions", "Subpath"),
    "tmpfs-size": _set("TmpfsOptions", "SizeBytes", read=_bytes),
    "tmpfs-mode": _set("TmpfsOptions", "Mode", read=_mode),
}
