"""Devices of a container: what it may use by default, what `--device` adds, and all of them for a privileged one."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from wherry.errors import Failed, Invalid
from wherry.model.configs import DeviceMapping, HostConfig

DEV = "/dev"
ACCESS = "rwm"
_RULE = re.compile(r"(?P<type>[acb]) (?P<major>\d+|\*):(?P<minor>\d+|\*) (?P<access>[rwm]{1,3})")
# Not nodes of the host's hardware: other mounts, and the console that the runtime makes itself.
_SKIPPED_FOLDERS = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})

Devices = tuple[list[dict[str, Any]], list[dict[str, Any]]]  # nodes to make, cgroup rules


def _rule(allow: bool, kind: str, major: int, minor: int, access: str = ACCESS) -> dict[str, Any]:
    return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}


# Nothing, but zero, null, urandom, random, tty and console; never fuse. The runtime adds mknod, ptmx and pts.
DEFAULT_RULES: tuple[dict[str, Any], ...] = (
    {"allow": False, "access": ACCESS},
    *(_rule(True, "c", major, minor) for major, minor in ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))),
    _rule(False, "c", 10, 229),
)


def devices(host: HostConfig) -> Devices:
    """Nodes and cgroup rules for this container. Raises `Failed` for a device that is not there."""
    if host.privileged:
        return _all_devices(host.resources.devices)
    nodes: list[dict[str, Any]] = []
    rules = list(DEFAULT_RULES)
    for mapping in host.resources.devices:
        found = _mapped(mapping)
        nodes += found
        access = mapping.cgroup_permissions or ACCESS
        rules += [_rule(True, node["type"], node["major"], node["minor"], access) for node in found]
    rules += [parse_rule(text) for text in host.resources.device_cgroup_rules or ()]
    return nodes, rules


def _all_devices(mappings: Sequence[DeviceMapping]) -> Devices:
    nodes = list(_walk(DEV, DEV))
    for mapping in mappings:
        if (mapping.path_in_container or mapping.path_on_host) != mapping.path_on_host:
            nodes += _mapped(mapping)
    return nodes, [{"allow": True, "access": ACCESS}]


def parse_rule(text: str) -> dict[str, Any]:
    """`c 42:* rmw` as a rule. Raises `Invalid`."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise Invalid(f"invalid device cgroup rule format: '{text}'")
    rule: dict[str, Any] = {"allow": True, "type": match["type"], "access": match["access"]}
    for key in ("major", "minor"):
        if match[key] != "*":  # absent is any
            rule[key] = int(match[key])
    return rule


def number(path: str) -> tuple[int, int]:
    """Major and minor number of a device. Raises `Failed` if there is none."""
    node = _node(path, path)
    return node["major"], node["minor"]


def check_path(path: str) -> str | None:
    """What is wrong with a device's path on the host; None if nothing is. The file system is not asked."""
    # Elsewhere a path may belong to a user's mount, whose server may hang whoever looks at it.
    if not os.path.normpath(path).startswith(f"{DEV}/"):
        return f'device path "{path}" is invalid, it needs to lie under {DEV}'
    return None


def _mapped(mapping: DeviceMapping) -> list[dict[str, Any]]:
    target = mapping.path_in_container or mapping.path_on_host
    if os.path.isdir(mapping.path_on_host):
        found = list(_walk(mapping.path_on_host, target))
    else:
        found = [_node(mapping.path_on_host, target)]
    if not found:
        raise Failed(
            f'error gathering device information while adding custom device "{mapping.path_on_host}": no device'
        )
    return found


def _walk(folder: str, target: str) -> Iterator[dict[str, Any]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        below = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _SKIPPED_FOLDERS:
                yield from _walk(entry.path, below)
        elif entry.name != "console" and _is_device(entry.stat(follow_symlinks=False).st_mode):
            yield _node(entry.path, below)


def _node(path: str, target: str) -> dict[str, Any]:
    failure = f'error gathering device information while adding custom device "{path}"'
    try:
        found = os.stat(path)
    except OSError as error:
        raise Failed(f"{failure}: {(error.strerror or str(error)).lower()}") from error
    if not _is_device(found.st_mode):
        raise Failed(f"{failure}: not a device node")
    return {
        "type": "b" if stat.S_ISBLK(found.st_mode) else "c",
        "path": target,
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
    }


def _is_device(mode: int) -> bool:
    return stat.S_ISBLK(mode) or stat.S_ISCHR(mode)
