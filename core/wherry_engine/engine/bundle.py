"""The OCI bundle: a container's config.json, from its record, its mounts and its user.

The format is https://github.com/opencontainers/runtime-spec 1.0.2. What a container gets unless it asks for something
else, and what it may not do, are Docker's defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from wherry.linux.users import User
from wherry.model.containers import Container
from wherry_engine.engine import devices, limits, security
from wherry_engine.engine.bundle_checks import check
from wherry_engine.engine.bundle_mounts import BundleMount, oci_mounts, root_propagation
from wherry_engine.engine.init_program import INSIDE

__all__ = ["BundleInput", "BundleMount", "check", "environment", "oci_config"]

VERSION = "1.0.2"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Harmless and useful, as the namespace is the container's own: ports under 1024 and ping for everyone.
_NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}


@attrs.frozen(kw_only=True)
class BundleInput:
    """All that a bundle is made of. `mounts` are volumes, binds and the engine's own files; a tmpfs may be among them.

    `netns` None is the host's network. Without `hostname` the container starts with the host's.
    """

    container: Container
    rootfs: Path
    user: User
    netns: Path | None
    mounts: tuple[BundleMount, ...]
    cgroups_path: str
    hostname: str
    cgroup_version: int
    init: str = ""  # the host's program to put in front, if one is wanted


def oci_config(given: BundleInput) -> dict[str, Any]:
    """The bundle's config.json. Parts of it are shared between calls: serialise it, do not change it in place.

    Raises `Invalid` for what `check` refuses, `Failed` for a device that is not there.
    """
    config, host = given.container.config, given.container.host
    options = security.parse_options(host.security_opt or ())
    granted = security.capabilities(host)
    own = (BundleMount(source=given.init, destination=INSIDE, options=("bind", "ro")),) if given.init else ()
    mounts = oci_mounts((*own, *given.mounts), host, given.container.mounts)
    result: dict[str, Any] = {
        "ociVersion": VERSION,
        "process": _process(given, granted, options.no_new_privileges),
        "root": {"path": str(given.rootfs), "readonly": host.readonly_rootfs},
        "mounts": mounts,
        "linux": _linux(given, granted, options, mounts),
    }
    if host.uts_mode != "host":
        if given.hostname:
            result["hostname"] = given.hostname
        if config.domainname:
            result["linux"]["sysctl"].setdefault("kernel.domainname", config.domainname)
    if host.annotations:
        result["annotations"] = dict(host.annotations)
    return result


def environment(given: Iterable[str], *, hostname: str, home: str, tty: bool) -> list[str]:
    """The environment of a container's process: a few defaults, then what is given. `NAME` alone unsets a default."""
    values = {"PATH": PATH, "HOSTNAME": hostname}
    if tty:
        values["TERM"] = "xterm"
    for entry in given:
        name, separator, value = entry.partition("=")
        if separator:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", home or "/")
    return [f"{name}={value}" for name, value in values.items()]


def _process(given: BundleInput, granted: tuple[str, ...], no_new_privileges: bool) -> dict[str, Any]:
    container, user = given.container, given.user
    config, host = container.config, container.host
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(dict.fromkeys((user.gid, *user.groups)))},
        "args": [*((INSIDE, "--") if given.init else ()), container.path, *container.args],
        "env": environment(config.env, hostname=given.hostname or os.uname().nodename, home=user.home, tty=config.tty),
        "cwd": config.working_dir or "/",
        "capabilities": _capabilities(granted, user),
        "noNewPrivileges": no_new_privileges,
        "oomScoreAdj": host.oom_score_adj,
    }
    height, width = host.console_size
    if config.tty and height and width:
        process["consoleSize"] = {"height": height, "width": width}
    rlimits = limits.rlimits(host.resources)
    if rlimits:
        process["rlimits"] = rlimits
    return process


def _capabilities(granted: tuple[str, ...], user: User) -> dict[str, list[str]]:
    # Another user than root has none in effect, as after execve(2), but may gain them from set-uid programs.
    sets = ("bounding", "effective", "permitted") if user.uid == 0 else ("bounding",)
    return {name: list(granted) for name in sets}


def _linux(
    given: BundleInput, granted: tuple[str, ...], options: security.SecurityOptions, mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    host = given.container.host
    nodes, rules = devices.devices(host)
    linux: dict[str, Any] = {
        "namespaces": _namespaces(given),
        "sysctl": {**_default_sysctls(given), **(host.sysctls or {})},
        "cgroupsPath": given.cgroups_path,
        "resources": {"devices": rules, **limits.resources(host.resources, given.cgroup_version)},
        "devices": nodes,
        "maskedPaths": list(security.masked_paths(host)),
        "readonlyPaths": list(security.readonly_paths(host)),
    }
    seccomp = security.seccomp_section(host, options, granted)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    propagation = root_propagation(mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    return linux


def _namespaces(given: BundleInput) -> list[dict[str, str]]:
    host = given.container.host
    modes = {"pid": host.pid_mode, "ipc": host.ipc_mode, "uts": host.uts_mode}
    found = [{"type": "mount"}, *({"type": kind} for kind, mode in modes.items() if mode != "host")]
    if given.netns is not None:
        found.append({"type": "network", "path": str(given.netns)})
    # On version 1 the hierarchies of the host were always seen; clients rely on it.
    default = "private" if given.cgroup_version == 2 else "host"
    if (host.cgroupns_mode or default) == "private":
        found.append({"type": "cgroup"})
    return found


def _default_sysctls(given: BundleInput) -> Mapping[str, str]:
    private = given.netns is not None and not given.container.host.network_mode.startswith("container:")
    return _network_sysctls() if private else {}


@lru_cache(maxsize=1)
def _network_sysctls() -> Mapping[str, str]:
    files = {name: Path("/proc/sys", *name.split(".")) for name in _NETWORK_SYSCTLS}
    return {name: value for name, value in _NETWORK_SYSCTLS.items() if files[name].exists()}
