"""Limits and devices."""

from __future__ import annotations

from wherry_cli.errors import CliError
from wherry_cli.options import integer
from wherry_cli.output.human import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry_cli.options import Values

# fmt: off
ULIMITS = frozenset((
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending",
    "stack",
))
# fmt: on

NUMBERS = {
    "CpuShares": "cpu-shares",
    "Memory": "memory",
    "BlkioWeight": "blkio-weight",
    "CpuPeriod": "cpu-period",
    "CpuQuota": "cpu-quota",
    "CpuRealtimePeriod": "cpu-rt-period",
    "CpuRealtimeRuntime": "cpu-rt-runtime",
    "MemoryReservation": "memory-reservation",
    "MemorySwap": "memory-swap",
    "PidsLimit": "pids-limit",
    "CpuCount": "cpu-count",
    "CpuPercent": "cpu-percent",
    "IOMaximumIOps": "io-maxiops",
    "IOMaximumBandwidth": "io-maxbandwidth",
    "CgroupParent": "cgroup-parent",
    "CpusetCpus": "cpuset-cpus",
    "CpusetMems": "cpuset-mems",
}


def resources(values: Values) -> dict[str, Any]:
    """The Resources part of HostConfig, only what was said. Raises CliError."""
    found: dict[str, Any] = {name: values[flag] for name, flag in NUMBERS.items()}
    if values["cpus"]:
        found["NanoCpus"] = nano_cpus(values["cpus"])
    if values["memory-swappiness"] != -1:
        if not 0 <= values["memory-swappiness"] <= 100:
            raise CliError(f"invalid value: {values['memory-swappiness']}. Valid memory swappiness range is 0-100", 125)
        found["MemorySwappiness"] = values["memory-swappiness"]
    if "oom-kill-disable" in values.given:
        found["OomKillDisable"] = values["oom-kill-disable"]
    found["Ulimits"] = [
        limit for _, limit in sorted({limit["Name"]: limit for limit in map(ulimit, values["ulimit"])}.items())
    ]
    found["BlkioWeightDevice"] = [_device_number(text, "Weight", integer) for text in values["blkio-weight-device"]]
    for name, flag, read in (
        ("BlkioDeviceReadBps", "device-read-bps", parse_size),
        ("BlkioDeviceWriteBps", "device-write-bps", parse_size),
        ("BlkioDeviceReadIOps", "device-read-iops", integer),
        ("BlkioDeviceWriteIOps", "device-write-iops", integer),
    ):
        found[name] = [_device_number(text, "Rate", read) for text in values[flag]]
    found.update(devices(values))
    keep = ("MemorySwappiness", "OomKillDisable")
    return {name: value for name, value in found.items() if value or name in keep}


def nano_cpus(text: str) -> int:
    """1.5 CPUs as 1,500,000,000. Raises ValueError."""
    from decimal import Decimal, InvalidOperation

    try:
        value = Decimal(text) * 1_000_000_000
    except InvalidOperation:
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if not value.is_finite() or value != int(value):
        raise ValueError("value is too precise")
    return int(value)


def ulimit(text: str) -> dict[str, Any]:
    """NAME=SOFT[:HARD]. Raises ValueError."""
    name, equals, rest = text.partition("=")
    if not equals or not rest:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name.lower() not in ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    numbers = rest.split(":")
    if len(numbers) > 2:
        raise ValueError(f"too many limit value arguments - {rest}, can only have up to two, `soft[:hard]`")
    soft = integer(numbers[0])
    hard = integer(numbers[-1])
    if hard != -1 and (soft > hard or soft == -1):
        raise ValueError(
            f"ulimit soft limit must be less than or equal to hard limit: {'-1' if soft == -1 else soft} > {hard}"
        )
    return {"Name": name.lower(), "Soft": soft, "Hard": hard}


def _device_number(text: str, member: str, read: Callable[[str], int]) -> dict[str, Any]:
    path, colon, number = text.partition(":")
    if not colon or not path.startswith("/dev/"):
        raise CliError(f"bad format for path: {text}: /dev/NAME:NUMBER is expected", 125)
    try:
        return {"Path": path, member: read(number)}
    except ValueError as error:
        raise CliError(f"invalid value for device: {text}: {error}", 125) from None


def devices(values: Values) -> dict[str, Any]:
    """Devices, DeviceCgroupRules and DeviceRequests. Raises CliError."""
    mapped = [text for text in values["device"] if not _by_name(text)]
    named = [text for text in values["device"] if _by_name(text)]
    requests = [{"Driver": "cdi", "DeviceIDs": named}] if named else []
    requests += [gpu_request(text) for text in values["gpus"]]
    return {
        "Devices": [device(text) for text in mapped],
        "DeviceCgroupRules": list(values["device-cgroup-rule"]),
        "DeviceRequests": requests,
    }


def _by_name(text: str) -> bool:
    """Whether a --device is a CDI name (vendor.com/class=device), not a path."""
    return not text.startswith("/") and "=" in text and "/" in text


def device(text: str) -> dict[str, str]:
    """PATH[:PATH-INSIDE[:PERMISSIONS]] or PATH:PERMISSIONS. Raises CliError."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise CliError(f"invalid device specification: {text}", 125)
    source, target, permissions = parts[0], parts[0], "rwm"
    if len(parts) > 1:
        if _permissions(parts[1]):
            permissions = parts[1]
        else:
            target = parts[1] or source
    if len(parts) > 2:
        permissions = parts[2]
    if not _permissions(permissions):
        raise CliError(f"bad mode specified: {permissions}", 125)
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": permissions}


def _permissions(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def gpu_request(text: str) -> dict[str, Any]:
    """--gpus as a DeviceRequest: all, a number, or count=,device=,driver=,capabilities=,options=. Raises ValueError."""
    from wherry_cli.containers.mounts import fields

    found: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": [], "Capabilities": [], "Options": {}}
    for field in fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", field
        if key == "count":
            found["Count"] = -1 if value == "all" else integer(value)
        elif key == "driver":
            found["Driver"] = value
        elif key == "device":
            found["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            found["Capabilities"] = [value.split(",") + ([] if "gpu" in value.split(",") else ["gpu"])]
        elif key == "options":
            found["Options"] = {
                name: setting for name, _, setting in (pair.partition("=") for pair in value.split(","))
            }
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if not found["Count"] and not found["DeviceIDs"]:
        found["Count"] = 1
    found["Capabilities"] = found["Capabilities"] or [["gpu"]]
    return found
