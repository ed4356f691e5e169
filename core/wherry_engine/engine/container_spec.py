"""From what a caller asks for and what the image says to what a container will be. Pure functions, no side effects."""

from __future__ import annotations

import random
from collections.abc import Container as AnyContainer
from collections.abc import Sequence

import attrs

from wherry.errors import Invalid
from wherry.model.configs import Config, HealthConfig, HostConfig, Resources, RestartPolicy
from wherry.model.containers import ContainerSpec
from wherry_engine.engine import container_files, health, joins, resolv_conf
from wherry_engine.engine.bundle import check
from wherry_engine.engine.defaults import Defaults, with_defaults
from wherry_engine.engine.groups import group_path
from wherry_engine.engine.limit_support import lacking
from wherry_engine.engine.limits import memory_swap
from wherry_engine.engine.ports import check_bindings
from wherry_engine.engine.signals import parse_signal

_ADJECTIVES = [
    "amber",
    "brisk",
    "calm",
    "clever",
    "eager",
    "fair",
    "fleet",
    "gentle",
    "glad",
    "hardy",
    "keen",
    "light",
    "lively",
    "loyal",
    "mellow",
    "merry",
    "nimble",
    "patient",
    "plain",
    "proud",
    "quick",
    "quiet",
    "ready",
    "sharp",
    "silver",
    "sleek",
    "sober",
    "steady",
    "stout",
    "sunny",
    "swift",
    "tidy",
    "trim",
    "true",
    "vivid",
    "warm",
    "wise",
]
_BOATS = [
    "barge",
    "brig",
    "canoe",
    "caravel",
    "catboat",
    "clipper",
    "coble",
    "coracle",
    "cutter",
    "dhow",
    "dinghy",
    "dory",
    "ferry",
    "galley",
    "gig",
    "hoy",
    "junk",
    "kayak",
    "ketch",
    "launch",
    "lighter",
    "lugger",
    "packet",
    "pinnace",
    "pram",
    "punt",
    "raft",
    "scow",
    "schooner",
    "scull",
    "skiff",
    "sloop",
    "smack",
    "tender",
    "trawler",
    "tug",
    "whaler",
    "xebec",
]


def random_name(taken: AnyContainer[str]) -> str:
    """A name nobody has, for people to say: two words, then a number if need be."""
    while True:
        name = f"{random.choice(_ADJECTIVES)}_{random.choice(_BOATS)}"
        if name not in taken:
            return name
        if (name := f"{name}{random.randrange(10)}") not in taken:
            return name


def merge(given: Config, image: Config) -> Config:
    """The container's config: the image's values where the caller said nothing.

    A caller's entrypoint drops the image's command; environment and labels add up; ports and volumes too.
    """
    entrypoint, cmd = given.entrypoint, given.cmd
    if not entrypoint and not cmd:
        cmd = image.cmd
    if entrypoint is None:
        entrypoint = image.entrypoint
    elif entrypoint == ("",):
        entrypoint = None
    names = {entry.partition("=")[0] for entry in given.env}
    env = given.env + tuple(entry for entry in image.env if entry.partition("=")[0] not in names)
    return attrs.evolve(
        given,
        entrypoint=entrypoint or None,
        cmd=cmd,
        env=env,
        user=given.user or image.user,
        working_dir=given.working_dir or image.working_dir,
        labels={**image.labels, **given.labels},
        exposed_ports=_union(image.exposed_ports, given.exposed_ports),
        volumes=_union(image.volumes, given.volumes),
        stop_signal=given.stop_signal or image.stop_signal,
        healthcheck=_merge_health(given.healthcheck, image.healthcheck),
        shell=given.shell or image.shell,
        args_escaped=given.args_escaped or image.args_escaped,
    )


def _union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _merge_health(given: HealthConfig | None, image: HealthConfig | None) -> HealthConfig | None:
    if given is None or image is None:
        return given or image
    return HealthConfig(
        test=given.test or image.test,
        interval=given.interval or image.interval,
        timeout=given.timeout or image.timeout,
        start_period=given.start_period or image.start_period,
        start_interval=given.start_interval or image.start_interval,
        retries=given.retries or image.retries,
    )


def settle(
    spec: ContainerSpec, image: Config, container_id: str, defaults: Defaults, cgroup_version: int
) -> tuple[Config, HostConfig]:
    """The complete config and host config. Raises `Invalid` with every fault at once."""
    config = merge(spec.config, image)
    if not (config.entrypoint or config.cmd):
        raise Invalid("no command specified")
    host = with_defaults(spec.host, defaults)
    faults = check(config, host) + check_bindings(config, host) + _faults(config, host)
    faults += _shared_network_faults(spec.config, host) if joins.is_joined(host.network_mode) else []
    faults += [*container_files.faults(config, host), *resolv_conf.faults(host), *joins.faults(host)]
    if faults:
        raise Invalid("; ".join(faults))
    shares_host = host.network_mode == "host" or host.uts_mode == "host"
    if not config.hostname and not shares_host and not joins.is_joined(host.network_mode):
        config = attrs.evolve(config, hostname=container_id[:12])
    host = attrs.evolve(
        host,
        # On version 1 the hierarchies of the host were always seen; clients rely on it.
        cgroupns_mode=host.cgroupns_mode or ("private" if cgroup_version == 2 else "host"),
        resources=_settle_limits(host.resources, cgroup_version),
    )
    return config, host


def _settle_limits(given: Resources, cgroup_version: int) -> Resources:
    """With what Docker fills in, and without what says nothing."""
    given = lacking(given, cgroup_version).without(given)
    return attrs.evolve(
        given,
        memory_swap=memory_swap(given),
        # There is no such switch in version 2.
        oom_kill_disable=bool(given.oom_kill_disable) if cgroup_version == 1 else None,
        memory_swappiness=None if given.memory_swappiness == -1 else given.memory_swappiness,
        pids_limit=given.pids_limit if given.pids_limit and given.pids_limit > 0 else None,
    )


def _faults(config: Config, host: HostConfig) -> list[str]:
    faults = []
    faults += policy_faults(host.restart_policy)
    faults += health.faults(config.healthcheck)
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        faults.append("can't create 'AutoRemove' container with restart policy")
    if config.working_dir and not config.working_dir.startswith("/"):
        faults.append(f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path")
    faults += [f"invalid environment variable: {entry}" for entry in config.env if not entry.partition("=")[0]]
    if host.network_mode == "host" and config.mac_address:
        faults.append("conflicting options: mac-address and the network mode")
    try:
        group_path(host.resources.cgroup_parent)
    except ValueError as error:
        faults.append(f"invalid cgroup parent {host.resources.cgroup_parent!r}: {error}")
    if host.isolation not in ("", "default"):
        faults.append(f"invalid isolation {host.isolation!r}: Linux has 'default' only")
    if host.storage_opt:
        faults.append("--storage-opt is supported only for storage drivers with quotas, and this one has none")
    try:
        parse_signal(config.stop_signal or "TERM")
    except Invalid as error:
        faults.append(error.text)
    return faults


def _shared_network_faults(given: Config, host: HostConfig) -> list[str]:
    """What cannot be said of a container in another one's network, in Docker's words."""
    conflicts = {
        "hostname and the network mode": given.hostname,
        "container type network can't be used with links. This would result in undefined behavior": host.links,
        "dns and the network mode": host.dns,
        "custom host-to-IP mapping and the network mode": host.extra_hosts,
        "mac-address and the network mode": given.mac_address,
        "port publishing and the container type network mode": host.port_bindings or host.publish_all_ports,
        "port exposing and the container type network mode": given.exposed_ports,
    }
    return [f"conflicting options: {text}" for text, said in conflicts.items() if said][:1]


def policy_faults(policy: RestartPolicy) -> list[str]:
    """What is wrong with a restart policy, in Docker's words."""
    prefix = "invalid restart policy: "
    if policy.name not in ("", "no", "always", "unless-stopped", "on-failure"):
        return [f"{prefix}unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"]
    if policy.name == "on-failure":
        return [f"{prefix}maximum retry count cannot be negative"] if policy.maximum_retry_count < 0 else []
    if policy.name and policy.maximum_retry_count:
        negative = " and cannot be negative" if policy.maximum_retry_count < 0 else ""
        return [f"{prefix}maximum retry count can only be used with 'on-failure'{negative}"]
    return []


def command(config: Config) -> tuple[str, tuple[str, ...]]:
    """What runs: path and arguments."""
    words = (*(config.entrypoint or ()), *(config.cmd or ()))
    return words[0], words[1:]
