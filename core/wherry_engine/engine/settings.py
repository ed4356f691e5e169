"""How an engine is to run, as its daemon has it from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from wherry.model.runtimes import RuntimeProgram
from wherry.model.system import Registries
from wherry_engine.engine.default_bridge import DefaultBridge
from wherry_engine.engine.defaults import Defaults
from wherry_engine.engine.ipam import DEFAULT_POOLS
from wherry_engine.engine.resolv_conf import ResolvConf


@attrs.frozen(kw_only=True)
class Settings:
    """How this engine is to run."""

    data_root: Path
    exec_root: Path
    storage_driver: str = "overlay2"
    defaults: Defaults = Defaults()  # of containers
    labels: Sequence[str] = ()  # of this engine, shown in its info
    runtimes: Mapping[str, RuntimeProgram] = attrs.field(factory=dict)  # beside those of the drivers
    default_runtime: str = ""  # "" chooses
    cgroup_parent: str = ""  # the group below which the engine makes its own, as /containers
    init_path: str = ""  # the program of --init; "" finds one
    seccomp_profile: str = ""  # of containers that name none: a file, "unconfined", or "" for the built-in one
    default_bridge: DefaultBridge = DefaultBridge()
    address_pools: Sequence[tuple[str, int]] = DEFAULT_POOLS
    network_options: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # of new networks, by driver
    host_gateway: str = ""  # what `host-gateway` means; "" is the gateway of the default network
    dns: ResolvConf = ResolvConf()  # for containers that do not say otherwise, in place of the host's
    driver_configs: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # by "family/name"
    preferred: Mapping[str, str] = attrs.field(factory=dict)  # distribution, by "family/name"
    environment: Mapping[str, str] = attrs.field(factory=dict)  # of the supervisor
    trusted: Sequence[str] = ()  # distributions whose observers may run in the engine
    registries: Registries = Registries()
    experimental: bool = False
    debug: bool = False
    live_restore: bool = True  # containers run on when the engine ends
    shutdown_timeout: int = 15  # s that they get to end, where they do not
