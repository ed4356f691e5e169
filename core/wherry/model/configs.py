"""What a container is asked to be: Docker's Config and HostConfig, field for field, as frozen values.

Field names are Docker's in snake case; the API renders and reads Docker's spelling. None means "not said", which Docker
tells apart from an empty value in a few places (Cmd, Entrypoint, ...). Sizes are bytes, times ns unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

Texts = tuple[str, ...]


@attrs.frozen(kw_only=True)
class HealthConfig:
    """A health check; 0 inherits. `test` is [], ["NONE"], ["CMD", ...] or ["CMD-SHELL", text]."""

    test: Texts | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@attrs.frozen(kw_only=True)
class Config:
    """The portable part: what to run, with which environment. Images carry one as their containers' defaults."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: Texts = ()  # "80/tcp"
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: Texts = ()
    cmd: Texts | None = None
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: Texts = ()  # paths
    working_dir: str = ""
    entrypoint: Texts | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: Texts | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None  # seconds
    shell: Texts | None = None


@attrs.frozen(kw_only=True)
class LogConfig:
    """A log driver by name ("" is the engine's default) with its options."""

    type: str = ""
    config: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class PortBinding:
    """One requested host side of a port; empty texts let the engine choose. `host_port` may be a range "8000-8010"."""

    host_ip: str = ""
    host_port: str = ""


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """no, always, unless-stopped or on-failure (at most `maximum_retry_count` times; 0 is no limit)."""

    name: str = "no"
    maximum_retry_count: int = 0


@attrs.frozen(kw_only=True)
class BindOptions:
    """Options of a mount of type bind."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


@attrs.frozen(kw_only=True)
class VolumeOptions:
    """Options of a mount of type volume."""

    no_copy: bool = False
    labels: Mapping[str, str] = attrs.field(factory=dict)
    driver_name: str = ""
    driver_options: Mapping[str, str] = attrs.field(factory=dict)
    subpath: str = ""


@attrs.frozen(kw_only=True)
class TmpfsOptions:
    """Options of a mount of type tmpfs; mode as in chmod."""

    size_bytes: int = 0
    mode: int = 0


@attrs.frozen(kw_only=True)
class MountRequest:
    """One `--mount`: type bind, volume or tmpfs."""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


@attrs.frozen(kw_only=True)
class DeviceMapping:
    """A host device shown in the container; permissions of r, w and m."""

    path_on_host: str
    path_in_container: str = ""
    cgroup_permissions: str = "rwm"


@attrs.frozen(kw_only=True)
class DeviceRequest:
    """A request for devices by driver or capability (GPUs)."""

    driver: str = ""
    count: int = 0
    device_ids: Texts = ()
    capabilities: tuple[Texts, ...] = ()
    options: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Ulimit:
    """One resource limit; -1 is no limit."""

    name: str
    soft: int
    hard: int


@attrs.frozen(kw_only=True)
class WeightDevice:
    """Relative weight of one block device."""

    path: str
    weight: int


@attrs.frozen(kw_only=True)
class ThrottleDevice:
    """Rate limit of one block device, in bytes or operations a second."""

    path: str
    rate: int


@attrs.frozen(kw_only=True)
class Resources:
    """Limits; 0 and None mean none."""

    cpu_shares: int = 0
    memory: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: tuple[WeightDevice, ...] = ()
    blkio_device_read_bps: tuple[ThrottleDevice, ...] = ()
    blkio_device_write_bps: tuple[ThrottleDevice, ...] = ()
    blkio_device_read_iops: tuple[ThrottleDevice, ...] = ()
    blkio_device_write_iops: tuple[ThrottleDevice, ...] = ()
    cpu_period: int = 0  # µs
    cpu_quota: int = 0  # µs
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: tuple[DeviceMapping, ...] = ()
    device_cgroup_rules: Texts | None = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    memory_reservation: int = 0
    memory_swap: int = 0  # memory plus swap; -1 is no limit
    memory_swappiness: int | None = None
    nano_cpus: int = 0
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = 0
    io_maximum_bandwidth: int = 0


@attrs.frozen(kw_only=True)
class HostConfig:
    """The part that belongs to this host."""

    resources: Resources = Resources()
    binds: Texts | None = None  # "source:/target[:options]"
    container_id_file: str = ""
    log_config: LogConfig = LogConfig()
    network_mode: str = "default"
    port_bindings: Mapping[str, tuple[PortBinding, ...]] = attrs.field(factory=dict)  # by "80/tcp"
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: Texts | None = None
    mounts: tuple[MountRequest, ...] | None = None
    console_size: tuple[int, int] = (0, 0)  # height, width
    annotations: Mapping[str, str] | None = None
    cap_add: Texts | None = None
    cap_drop: Texts | None = None
    cgroupns_mode: str = ""
    dns: Texts = ()
    dns_options: Texts = ()
    dns_search: Texts = ()
    extra_hosts: Texts | None = None
    group_add: Texts | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: Texts | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: Texts | None = None
    storage_opt: Mapping[str, str] | None = None
    tmpfs: Mapping[str, str] | None = None  # path: options
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: Mapping[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    init: bool | None = None
    masked_paths: Texts | None = None  # None: the default list
    readonly_paths: Texts | None = None
