"""What containers get that do not say otherwise, as the daemon's configuration has it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from wherry.model.configs import HostConfig, LogConfig, Ulimit

SHM_SIZE = 64 << 20


@attrs.frozen(kw_only=True)
class Defaults:
    """The daemon's answers to what a container leaves open. `log_opts` belong to `log_driver` and to no other."""

    log_driver: str = "json-file"
    log_opts: Mapping[str, str] = attrs.field(factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = SHM_SIZE  # bytes
    ipc_mode: str = "private"
    cgroupns_mode: str = ""  # "" is what fits the host's cgroups
    network_mode: str = "bridge"
    init: bool = False
    no_new_privileges: bool = False


def with_defaults(host: HostConfig, defaults: Defaults) -> HostConfig:
    """The host config with these filled in; what it says itself stays."""
    named = {limit.name for limit in host.resources.ulimits}
    ulimits = (*host.resources.ulimits, *(limit for limit in defaults.ulimits if limit.name not in named))
    security = tuple(host.security_opt or ())
    if defaults.no_new_privileges and not any(option.startswith("no-new-privileges") for option in security):
        security = (*security, "no-new-privileges")
    return attrs.evolve(
        host,
        log_config=_log(host.log_config, defaults),
        shm_size=host.shm_size or defaults.shm_size,
        ipc_mode=host.ipc_mode or defaults.ipc_mode,
        cgroupns_mode=host.cgroupns_mode or defaults.cgroupns_mode,
        network_mode=defaults.network_mode if host.network_mode in ("", "default") else host.network_mode,
        init=True if defaults.init and host.init is None else host.init,
        security_opt=security or host.security_opt,
        resources=attrs.evolve(host.resources, ulimits=ulimits),
    )


def _log(asked: LogConfig, defaults: Defaults) -> LogConfig:
    name = asked.type or defaults.log_driver
    options = {**defaults.log_opts, **asked.config} if name == defaults.log_driver else asked.config
    return LogConfig(type=name, config=options)
