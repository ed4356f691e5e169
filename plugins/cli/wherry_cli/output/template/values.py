"""Values as templates see them: JSON, rows of a listing, and Go's way to print, compare and look into them."""

from __future__ import annotations

from wherry_cli.output.jsontext import compact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Missing:
    """A key that is not there, where that is no error; prints as Go prints it."""

    def plain(self) -> None:
        """JSON has null for it."""
        return None

    def __bool__(self) -> bool:
        return False


class NilList(list["Any"]):
    """A list that was null: empty to look at, null as JSON."""


class OpenMap(dict[str, "Any"]):
    """A mapping whose keys users choose: to ask for one that is not there is no error."""


class NilMap(OpenMap):
    """A mapping that was null: empty to look at, null as JSON."""


# fmt: off
# Members that Docker's own client knows as lists or mappings even where the engine says null.
_LISTS = frozenset((
    "Aliases", "Args", "Binds", "CapAdd", "CapDrop", "Cmd", "DNSNames", "DeviceCgroupRules", "DeviceRequests", "Devices", "Dns",
    "DnsOptions", "DnsSearch", "Entrypoint", "Env", "ExecIDs", "ExtraHosts", "GroupAdd", "Layers", "Links", "MaskedPaths", "Mounts",
    "OnBuild", "ReadonlyPaths", "RepoDigests", "RepoTags", "SecurityOpt", "Shell", "Ulimits", "VolumesFrom", "Warnings",
))
_MAPS = frozenset((
    "Annotations", "Attributes", "Containers", "DriverOpts", "ExposedPorts", "Labels", "Networks", "Options", "PortBindings", "Ports",
    "StorageOpt", "Sysctls", "Tmpfs", "Volumes",
))
# Members that Docker leaves out when they are empty, so that asking for them is no mistake.
_OMITTED: dict[str, Any] = {
    **dict.fromkeys((
        "Annotations", "ClusterVolume", "ExposedPorts", "GraphDriver", "Health", "Healthcheck", "IPAMConfig", "Init", "Mounts", "Options",
        "Shell", "SizeRootFs", "SizeRw", "Status", "StopTimeout", "StorageOpt", "Sysctls", "Tmpfs", "UsageData",
    )),
    **dict.fromkeys((
        "Author", "Comment", "DockerVersion", "Driver", "MacAddress", "Name", "OsVersion", "Parent", "StopSignal", "Variant",
    ), ""),
    **dict.fromkeys(("ArgsEscaped", "NetworkDisabled"), False),
}
# fmt: on


def member(value: Any, name: str, arguments: Sequence[Any] = ()) -> Any:
    """`.Name` of a value. Raises LookupError with what Go would say."""
    if hasattr(value, "field"):
        return value.field(name, arguments)
    if not isinstance(value, dict):
        if value is None or isinstance(value, Missing):
            raise LookupError(f"nil data; no entry for key {_quote(name)}")
        raise LookupError(f"can't evaluate field {name} in type {kind(value)}")
    if arguments:
        raise LookupError(f"{name} is not a method but has arguments")
    if name not in value:
        # Go's names and JSON's differ in case only (ID and Id, NanoCPUs and NanoCpus).
        name = next((key for key in value if key.lower() == name.lower()), name)
    if name in value:
        return typed(name, value[name])
    if isinstance(value, OpenMap):
        return Missing()
    if name in _OMITTED:
        return typed(name, _OMITTED[name])
    raise LookupError(f"map has no entry for key {_quote(name)}")


def typed(name: str, found: Any) -> Any:
    """The value of member `name` as Docker's client, which knows its type, would have it."""
    if name in _MAPS and (found is None or isinstance(found, dict)):
        return NilMap() if found is None else OpenMap(found)
    return NilList() if found is None and name in _LISTS else found


def element(value: Any, key: Any) -> Any:
    """`index value key`. Raises LookupError."""
    if isinstance(value, dict):
        return value.get(key, Missing() if any(isinstance(item, dict | list) for item in value.values()) else "")
    if isinstance(value, list | str):
        if not isinstance(key, int) or isinstance(key, bool):
            raise LookupError(f"error calling index: cannot index slice/array with type {kind(key)}")
        if not 0 <= key < len(value):
            raise LookupError(f"error calling index: reflect: slice index out of range: {key}")
        return value[key] if isinstance(value, list) else value.encode()[key]
    if value is None or isinstance(value, Missing):
        raise LookupError("error calling index: index of untyped nil")
    raise LookupError(f"error calling index: can't index item of type {kind(value)}")


def kind(value: Any) -> str:
    """Go's name for the type of a value."""
    if isinstance(value, dict):
        return "map[string]interface {}"
    names = {bool: "bool", int: "int", float: "float64", str: "string", list: "[]interface {}"}
    return names.get(type(value), "interface {}")


def show(value: Any) -> str:
    """A value as {{value}} prints it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, Missing):
        return "<no value>"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(show(item) for item in value) + "]"
    if hasattr(value, "plain"):
        return show(value.plain())
    return str(value)


def _float(value: float) -> str:
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def encode(value: Any) -> str:
    """A value as {{json value}} prints it."""
    if hasattr(value, "json"):
        return str(value.json())
    return "null" if isinstance(value, NilList | NilMap) else compact(value)


def _quote(name: str) -> str:
    return f'"{name}"'
