"""What the engine says of itself and its host."""

from __future__ import annotations

import os
import platform
import socket
import time
from importlib.metadata import version as distribution_version
from pathlib import Path

from wherry.linux import cgroups
from wherry.model.networks import client_name
from wherry.model.system import (
    AddressPool,
    Component,
    Counts,
    EngineInfo,
    Limits,
    PluginNames,
    VersionInfo,
)
from wherry_engine.engine.containers import Containers
from wherry_engine.engine.image_platform import architecture
from wherry_engine.engine.images import Images
from wherry_engine.engine.init_program import installed_init
from wherry_engine.engine.runtimes import Runtimes
from wherry_engine.engine.settings import Settings
from wherry_engine.loader.catalog import catalog, group_of
from wherry_engine.loader.families import FAMILIES


def wherry_version() -> str:
    """The installed version."""
    return distribution_version("wherry")


def version_info(runtimes: Runtimes, *, experimental: bool) -> VersionInfo:
    """Which engine this is, with the runtimes found so far."""
    found = tuple(Component(name=name, version=runtime.version) for name, runtime in runtimes.probed().items())
    return VersionInfo(
        version=wherry_version(),
        language_version=f"python{platform.python_version()}",
        arch=architecture(),
        kernel_version=platform.release(),
        components=found,
        experimental=experimental,
    )


def engine_info(
    settings: Settings, *, instance: str, storage_status: tuple[tuple[str, str], ...], default_runtime: str,
    containers: Containers, images: Images, runtimes: Runtimes, faults: tuple[str, ...],
) -> EngineInfo:  # fmt: skip
    """The engine and its host, now; `faults` of drivers are warned of. Reads only /proc, /sys and what is in memory."""
    limits, forwarding = _limits(), Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
    release = _os_release()
    probed = runtimes.probed()
    return EngineInfo(
        id=instance,
        name=socket.gethostname(),
        version=wherry_version(),
        counts=_counts(containers, images),
        time_ns=time.time_ns(),
        storage_driver=settings.storage_driver,
        storage_status=storage_status,
        log_driver=settings.defaults.log_driver,
        cgroup_version=str(cgroups.version()),
        runtimes=runtimes.shown(),
        default_runtime=default_runtime,
        runtime_version=probed[default_runtime].version if default_runtime in probed else "",
        plugins=_plugins(),
        firewall="nftables",
        kernel_version=platform.release(),
        operating_system=release.get("PRETTY_NAME", "Linux"),
        os_version=release.get("VERSION_ID", ""),
        architecture=platform.machine(),
        cpus=os.cpu_count() or 1,
        memory_total=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        limits=limits,
        ipv4_forwarding=forwarding,
        root=str(settings.data_root),
        labels=tuple(settings.labels),
        security_options=(f"name=seccomp,profile={settings.seccomp_profile or 'builtin'}",),
        address_pools=tuple(AddressPool(base, size) for base, size in settings.address_pools),
        init_binary=os.path.basename(installed_init(settings.init_path)),
        warnings=tuple(f"WARNING: {text}" for text in (*_lacking(limits, forwarding), *faults)),
        registries=settings.registries,
        experimental=settings.experimental,
        debug=settings.debug,
        live_restore=settings.live_restore,
    )


def _counts(containers: Containers, images: Images) -> Counts:
    status = [container.state.status for container in containers.list()]
    running, paused = status.count("running") + status.count("restarting"), status.count("paused")
    return Counts(running=running, paused=paused, stopped=len(status) - running - paused, images=len(images.table))


def _plugins() -> PluginNames:
    names: dict[str, set[str]] = {}
    for entry in catalog():
        spec = FAMILIES.get(entry.family)
        if spec is not None and entry.driver_group == group_of(spec.FAMILY, spec.MAJOR):
            names.setdefault(entry.family, set()).add(entry.name)
    of = {family: tuple(sorted(names.get(family, ()))) for family in ("storage", "network", "volume", "log")}
    network = tuple(sorted(map(client_name, of["network"])))
    return PluginNames(storage=of["storage"], network=network, volume=of["volume"], log=of["log"])


def _limits() -> Limits:
    has = cgroups.controllers()
    cpu, first = "cpu" in has, cgroups.version() == 1
    swap = cgroups.ROOT / "memory" / "memory.memsw.limit_in_bytes"
    return Limits(
        memory="memory" in has,
        swap=swap.exists() if first else "memory" in has,
        cpu_period=cpu,
        cpu_quota=cpu,
        cpu_shares=cpu,
        cpuset="cpuset" in has,
        pids="pids" in has,
        oom_kill_disable=first and "memory" in has,
    )


def _lacking(limits: Limits, forwarding: bool) -> list[str]:
    """What this host cannot limit or do, in the words that Docker's clients print."""
    able = {
        "No memory limit support": limits.memory,
        "No swap limit support": limits.swap,
        "No cpu cfs quota support": limits.cpu_quota,
        "No cpu cfs period support": limits.cpu_period,
        "No cpu shares support": limits.cpu_shares,
        "No cpuset support": limits.cpuset,
        "IPv4 forwarding is disabled": forwarding,
    }
    return [text for text, can in able.items() if not can]


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:  # a host may have none
        return {}
