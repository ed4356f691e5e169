"""What the engine says of itself and its host: the facts behind `info` and `version`."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

Texts = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]  # (label, value), in the order they are shown


@attrs.frozen(kw_only=True)
class Component:
    """A program that the engine is made of, with whatever is known of it."""

    name: str
    version: str
    details: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class VersionInfo:
    """Which engine this is. `language_version` is what Docker's clients show as the Go version."""

    version: str
    language_version: str
    os: str = "linux"
    arch: str = "amd64"  # as Go and image configs spell it
    kernel_version: str = ""
    git_commit: str = ""
    build_time: str = ""
    platform: str = "Wherry"
    experimental: bool = False
    components: tuple[Component, ...] = ()  # besides the engine itself


@attrs.frozen(kw_only=True)
class RuntimeInfo:
    """An OCI runtime that containers may use."""

    path: str = ""
    arguments: Texts = ()
    features: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class PluginNames:
    """The installed drivers, by family; a name is enough to ask for one."""

    storage: Texts = ()
    network: Texts = ()
    volume: Texts = ()
    log: Texts = ()
    authorization: Texts = ()


@attrs.frozen
class AddressPool:
    """A range from which new networks get subnets of `size` prefix bits."""

    base: str
    size: int


@attrs.frozen(kw_only=True)
class Limits:
    """Which limits this host can enforce."""

    memory: bool = True
    swap: bool = True
    cpu_period: bool = True
    cpu_quota: bool = True
    cpu_shares: bool = True
    cpuset: bool = True
    pids: bool = True
    oom_kill_disable: bool = False


@attrs.frozen(kw_only=True)
class Counts:
    """How many containers there are in each group of states, and how many images."""

    running: int = 0
    paused: int = 0
    stopped: int = 0
    images: int = 0

    @property
    def containers(self) -> int:
        """All containers."""
        return self.running + self.paused + self.stopped


@attrs.frozen(kw_only=True)
class Registries:
    """What the engine is told of image registries and of the way to them."""

    mirrors: Texts = ()
    insecure: Texts = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""


@attrs.frozen(kw_only=True)
class EngineInfo:
    """The engine and its host, now. Sizes are bytes, times ns since the epoch."""

    id: str
    name: str  # of the host
    version: str
    counts: Counts = Counts()
    time_ns: int = 0
    # drivers
    storage_driver: str
    storage_status: Pairs = ()
    log_driver: str = "json-file"
    cgroup_driver: str = "cgroupfs"
    cgroup_version: str = "1"
    runtimes: Mapping[str, RuntimeInfo] = attrs.field(factory=dict)
    default_runtime: str = ""
    plugins: PluginNames = PluginNames()
    firewall: str = ""
    firewall_details: Pairs = ()
    # the host
    kernel_version: str = ""
    operating_system: str = ""
    os_version: str = ""
    os_type: str = "linux"
    architecture: str = "x86_64"  # as uname spells it
    cpus: int = 0
    memory_total: int = 0
    limits: Limits = Limits()
    ipv4_forwarding: bool = True
    # configuration
    root: str = ""
    labels: Texts = ()
    security_options: Texts = ()  # "name=seccomp,profile=builtin"
    address_pools: tuple[AddressPool, ...] = ()
    live_restore: bool = True
    experimental: bool = False
    init_binary: str = ""
    init_version: str = ""
    runtime_version: str = ""
    cdi_directories: Texts = ()
    registries: Registries = Registries()
    # while debugging
    debug: bool = False
    descriptors: int = 0
    tasks: int = 0
    event_listeners: int = 0
    warnings: Texts = ()
