"""What a create must refuse: limits out of range, unknown names, options that exclude each other. All faults at once.

The texts are those that Docker's clients know.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from wherry.errors import Invalid
from wherry.model.configs import Config, HostConfig, Resources
from wherry_engine.engine import security
from wherry_engine.engine.bundle_mounts import merge_tmpfs
from wherry_engine.engine.devices import check_path, parse_rule
from wherry_engine.engine.joins import is_joined
from wherry_engine.engine.limits import NANO
from wherry_engine.engine.seccomp_files import section_of_file

MINIMUM_MEMORY = 6 << 20
_ULIMITS = frozenset(
    [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)
_CPUS = ("/sys/fs/cgroup/cpuset/cpuset.cpus", "/sys/fs/cgroup/cpuset.cpus.effective", "/sys/devices/system/cpu/online")
_MEMS = ("/sys/fs/cgroup/cpuset/cpuset.mems", "/sys/fs/cgroup/cpuset.mems.effective", "/sys/devices/system/node/online")


def check(config: Config, host: HostConfig) -> list[str]:
    """Every fault of what is asked for; nothing of the container has to exist yet."""
    limits = host.resources
    return [
        *_memory(limits),
        *_processors(limits),
        *_cpusets(limits),
        *_block_io(limits),
        *_ulimits(limits),
        *_devices(limits),
        *_security(host),
        *_modes(config, host),
        *_mounts(host),
    ]


def _memory(given: Resources) -> Iterator[str]:
    if given.memory and given.memory < MINIMUM_MEMORY:
        yield "Minimum memory limit allowed is 6MB"
    if 0 < given.memory_swap < given.memory:
        yield "Minimum memoryswap limit should be larger than memory limit, see usage"
    if given.memory == 0 and given.memory_swap > 0:
        yield "You should always set the Memory limit when using Memoryswap limit, see usage"
    if given.memory_swappiness is not None and not -1 <= given.memory_swappiness <= 100:
        yield f"Invalid value: {given.memory_swappiness}, valid memory swappiness range is 0-100"
    if given.memory_reservation and given.memory_reservation < MINIMUM_MEMORY:
        yield "Minimum memory reservation allowed is 6MB"
    if 0 < given.memory < given.memory_reservation:
        yield "Minimum memory limit can not be less than memory reservation limit, see usage"


def _processors(given: Resources) -> Iterator[str]:
    count = len(os.sched_getaffinity(0))
    if given.nano_cpus > 0 and given.cpu_period > 0:
        yield "Conflicting options: Nano CPUs and CPU Period cannot both be set"
    if given.nano_cpus > 0 and given.cpu_quota > 0:
        yield "Conflicting options: Nano CPUs and CPU Quota cannot both be set"
    if not 0 <= given.nano_cpus <= count * NANO:
        yield f"range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
    if given.cpu_shares < 0:
        yield f"invalid CPU shares ({given.cpu_shares}): value must be a positive integer"
    if given.cpu_period and not 1000 <= given.cpu_period <= 1_000_000:
        yield "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
    if 0 < given.cpu_quota < 1000:
        yield "CPU cfs quota can not be less than 1ms (i.e. 1000)"


def _cpusets(given: Resources) -> Iterator[str]:
    for asked, files, short, long in (
        (given.cpuset_cpus, _CPUS, "cpus", "CPUs"),
        (given.cpuset_mems, _MEMS, "mems", "memory nodes"),
    ):
        if not asked:
            continue
        try:
            wanted = parse_list(asked)
        except ValueError:
            yield f"Invalid value {asked} for cpuset {short}"
            continue
        available = next((text for text in map(_read, files) if text), "")
        if not wanted <= parse_list(available):
            yield f"Requested {long} are not available - requested {asked}, available: {available}"


def parse_list(text: str) -> set[int]:
    """`0-2,5` as numbers, as cpuset(7) writes them. Raises ValueError."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = int(first), int(last if dash else first)
        if not 0 <= low <= high < 8192:
            raise ValueError(f"{part!r} is not a range")
        found.update(range(low, high + 1))
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:  # the other version of cgroups, or no such controller
        return ""


def _block_io(given: Resources) -> Iterator[str]:
    if given.blkio_weight and not 10 <= given.blkio_weight <= 1000:
        yield "Range of blkio weight is from 10 to 1000"
    if given.io_maximum_bandwidth or given.io_maximum_iops:
        yield "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps"
    disks = [device.path for device in given.blkio_weight_device]
    for throttled in (
        given.blkio_device_read_bps,
        given.blkio_device_write_bps,
        given.blkio_device_read_iops,
        given.blkio_device_write_iops,
    ):
        disks += [device.path for device in throttled]
    yield from filter(None, map(check_path, disks))


def _ulimits(given: Resources) -> Iterator[str]:
    for limit in given.ulimits:
        if limit.name not in _ULIMITS:
            yield f"invalid ulimit type: {limit.name}"
        if limit.hard >= 0 and (limit.soft < 0 or limit.soft > limit.hard):
            yield f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"


def _devices(given: Resources) -> Iterator[str]:
    for device in given.devices:
        fault = check_path(device.path_on_host)
        if fault:
            yield fault
        if not set(device.cgroup_permissions) <= set("rwm"):
            yield f"invalid device mode: {device.cgroup_permissions}"
    for rule in given.device_cgroup_rules or ():
        yield from _faults_of(parse_rule, rule)
    for request in given.device_requests or ():
        wanted = " ".join(f"[{' '.join(names)}]" for names in request.capabilities)
        yield f'could not select device driver "{request.driver}" with capabilities: [{wanted}]'


def _security(host: HostConfig) -> Iterator[str]:
    for name, given in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        yield from (f"invalid {name}: {fault}" for fault in _faults_of(security.normalize, given or ()))
    yield from _faults_of(security.parse_options, host.security_opt or ())
    for text in host.security_opt or ():
        key, _, profile = text.partition("=")
        if key == "seccomp" and profile not in ("", security.UNCONFINED, security.BUILTIN):
            yield from _faults_of(section_of_file, profile, ())
    if not -1000 <= host.oom_score_adj <= 1000:
        yield f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]"


def _modes(config: Config, host: HostConfig) -> Iterator[str]:
    allowed: Mapping[str, tuple[str, tuple[str, ...]]] = {
        "IPC": (host.ipc_mode, ("", "none", "private", "shareable", "host")),
        "PID": (host.pid_mode, ("", "private", "host")),
        "UTS": (host.uts_mode, ("", "host")),
        "cgroup namespace": (host.cgroupns_mode, ("", "private", "host")),
        "userns": (host.userns_mode, ("", "host")),
    }
    for name, (mode, known) in allowed.items():
        if mode not in known and not (is_joined(mode) and name in ("IPC", "PID")):
            yield f"invalid {name} mode: {mode}"
    if host.uts_mode == "host" and config.hostname:
        yield "conflicting options: hostname and the UTS mode"
    if host.network_mode == "host" and host.links:
        yield "conflicting options: host type networking can't be used with links. This would result in undefined behavior"


def _mounts(host: HostConfig) -> Iterator[str]:
    if host.shm_size < 0:
        yield "SHM size can not be less than 0"
    for path, options in (host.tmpfs or {}).items():
        if not path.startswith("/"):
            yield f"invalid mount path: '{path}' mount path must be absolute"
        if options:
            yield from _faults_of(merge_tmpfs, options.split(","))


def _faults_of(function: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        function(*arguments)
    except Invalid as error:
        yield error.text
