"""The OCI bundle: a container's config.json, from its record, its mounts and its user.

The format is https://github.com/opencontainers/runtime-spec 1.0.2. What a container gets unless it asks for something
else, and what it may not do, are Docker's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from wherry.linux.users import User
from wherry.model.containers import Container
from wherry_engine.engine import devices, limits, security
from wherry_engine.engine.bundle_checks import check
from wherry_engine.engine.bundle_mounts import BundleMount, oci_mounts, root_propagation
from wherry_engine.engine.bundle_process import Program, process_section
from wherry_engine.engine.init_program import INSIDE
from wherry_engine.engine.joins import Joined, is_joined

__all__ = ["BundleInput", "BundleMount", "check", "oci_config"]

VERSION = "1.0.2"
# Harmless and useful, as the namespace is the container's own: ports under 1024 and ping for everyone.
_NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}


@attrs.frozen(kw_only=True)
class BundleInput:
    """All that a bundle is made of. `mounts` are volumes, binds and the engine's own files; a tmpfs may be among them.

    `netns` None is the host's network. Without `hostname` the container starts with the host's.
    `joined` is what it has of other containers.
    """

    container: Container
    rootfs: Path
    user: User
    netns: Path | None
    mounts: tuple[BundleMount, ...]
    cgroups_path: str
    hostname: str
    cgroup_version: int
    joined: Joined = Joined()
    init: str = ""  # the host's program to put in front, if one is wanted
    seccomp: str = ""  # the profile of containers that name none; "" is the built-in one
    modes: Mapping[str, int] = attrs.field(factory=dict)  # of tmpfs that say none, by path


def oci_config(given: BundleInput) -> dict[str, Any]:
    """The bundle's config.json. Parts of it are shared between calls: serialise it, do not change it in place.

    Raises `Invalid` for what `check` refuses, `Failed` for a device that is not there.
    """
    config, host = given.container.config, given.container.host
    options = security.parse_options(host.security_opt or ())
    granted = security.capabilities(host)
    own = (BundleMount(source=given.init, destination=INSIDE, options=("bind", "ro")),) if given.init else ()
    mounts = oci_mounts((*own, *given.mounts), host, given.container.mounts, given.joined.shm, given.modes)
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


def _process(given: BundleInput, granted: tuple[str, ...], no_new_privileges: bool) -> dict[str, Any]:
    container, config = given.container, given.container.config
    return process_section(
        container,
        given.user,
        Program(
            args=(*((INSIDE, "--") if given.init else ()), container.path, *container.args),
            env=config.env,
            cwd=config.working_dir,
            tty=config.tty,
            console_size=container.host.console_size,
        ),
        granted,
        hostname=given.hostname,
        no_new_privileges=no_new_privileges,
    )


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
    seccomp = security.seccomp_section(host, options, granted, given.seccomp)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    propagation = root_propagation(mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    return linux


def _namespaces(given: BundleInput) -> list[dict[str, str]]:
    host = given.container.host
    modes = {"pid": host.pid_mode, "ipc": host.ipc_mode, "uts": host.uts_mode}
    joined = dict(given.joined.namespaces)
    own = [kind for kind, mode in modes.items() if mode != "host" and kind not in joined]
    found = [{"type": kind} for kind in ("mount", *own)]
    found += [{"type": kind, "path": path} for kind, path in joined.items()]
    if given.netns is not None:
        found.append({"type": "network", "path": str(given.netns)})
    if host.cgroupns_mode == "private":
        found.append({"type": "cgroup"})
    return found


def _default_sysctls(given: BundleInput) -> Mapping[str, str]:
    private = given.netns is not None and not is_joined(given.container.host.network_mode)
    return _network_sysctls() if private else {}


@lru_cache(maxsize=1)
def _network_sysctls() -> Mapping[str, str]:
    files = {name: Path("/proc/sys", *name.split(".")) for name in _NETWORK_SYSCTLS}
    return {name: value for name, value in _NETWORK_SYSCTLS.items() if files[name].exists()}
