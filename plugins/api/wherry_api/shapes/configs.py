"""Config and HostConfig, from the engine's values to JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from wherry.model.configs import Config, HealthConfig, HostConfig, MountRequest, Resources
from wherry_api.shapes.ports import bindings_json
from wherry_engine.engine.security import masked_paths, readonly_paths

Json = dict[str, Any]
T = TypeVar("T")


def _object(keys: Iterable[str]) -> Json | None:
    """Keys as an object of empty objects, null if there are none."""
    return {key: {} for key in sorted(keys)} or None


def ordered(values: Mapping[str, T] | None) -> dict[str, T] | None:
    """An object whose names are the user's, in their order: clients show objects as they come."""
    return None if values is None else dict(sorted(values.items()))


def _present(values: Mapping[str, object]) -> Json:
    """Without the empty values: these fields are left out where nothing is said."""
    return {key: value for key, value in values.items() if value not in (None, "", False, 0, (), {})}


def health_json(health: HealthConfig | None) -> Json | None:
    """A health check."""
    if health is None:
        return None
    return _present(
        {
            "Test": health.test,
            "Interval": health.interval,
            "Timeout": health.timeout,
            "StartPeriod": health.start_period,
            "StartInterval": health.start_interval,
            "Retries": health.retries,
        }
    )


def config_json(config: Config) -> Json:
    """A container's Config."""
    optional = {
        "ExposedPorts": _object(config.exposed_ports),
        "Healthcheck": health_json(config.healthcheck),
        "ArgsEscaped": config.args_escaped,
        "NetworkDisabled": config.network_disabled,
        "MacAddress": config.mac_address,
        "StopSignal": config.stop_signal,
        "Shell": config.shell,
    }
    stop_timeout = {} if config.stop_timeout is None else {"StopTimeout": config.stop_timeout}
    return {
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": config.env,
        "Cmd": config.cmd,
        "Image": config.image,
        "Volumes": _object(config.volumes),
        "WorkingDir": config.working_dir,
        "Entrypoint": config.entrypoint,
        "OnBuild": config.on_build,
        "Labels": ordered(config.labels),
        **_present(optional),
        **stop_timeout,
    }


def image_config_json(config: Config) -> Json:
    """An image's Config: what is no matter of images is left out, and nothing said is null."""
    optional = {
        "ExposedPorts": _object(config.exposed_ports),
        "Healthcheck": health_json(config.healthcheck),
        "ArgsEscaped": config.args_escaped,
        "StopSignal": config.stop_signal,
        "Shell": config.shell,
    }
    return {
        "User": config.user,
        "Env": config.env or None,
        "Cmd": config.cmd,
        "Volumes": _object(config.volumes),
        "WorkingDir": config.working_dir,
        "Entrypoint": config.entrypoint,
        "OnBuild": config.on_build,
        "Labels": ordered(config.labels) or None,
        **_present(optional),
    }


def legacy_image_config_json(config: Config) -> Json:
    """The same before 1.50, which had a container's fields in it."""
    empty = {"Hostname": "", "Domainname": "", "Image": ""}
    off = dict.fromkeys(["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"], False)
    return empty | off | image_config_json(config)


def _resources_json(r: Resources) -> Json:
    return {
        "CpuShares": r.cpu_shares,
        "Memory": r.memory,
        "NanoCpus": r.nano_cpus,
        "CgroupParent": r.cgroup_parent,
        "BlkioWeight": r.blkio_weight,
        "BlkioWeightDevice": [{"Path": d.path, "Weight": d.weight} for d in r.blkio_weight_device],
        "BlkioDeviceReadBps": [{"Path": d.path, "Rate": d.rate} for d in r.blkio_device_read_bps],
        "BlkioDeviceWriteBps": [{"Path": d.path, "Rate": d.rate} for d in r.blkio_device_write_bps],
        "BlkioDeviceReadIOps": [{"Path": d.path, "Rate": d.rate} for d in r.blkio_device_read_iops],
        "BlkioDeviceWriteIOps": [{"Path": d.path, "Rate": d.rate} for d in r.blkio_device_write_iops],
        "CpuPeriod": r.cpu_period,
        "CpuQuota": r.cpu_quota,
        "CpuRealtimePeriod": r.cpu_realtime_period,
        "CpuRealtimeRuntime": r.cpu_realtime_runtime,
        "CpusetCpus": r.cpuset_cpus,
        "CpusetMems": r.cpuset_mems,
        "Devices": [
            {
                "PathOnHost": d.path_on_host,
                "PathInContainer": d.path_in_container,
                "CgroupPermissions": d.cgroup_permissions,
            }
            for d in r.devices
        ],
        "DeviceCgroupRules": r.device_cgroup_rules,
        "DeviceRequests": None
        if r.device_requests is None
        else [
            {
                "Driver": d.driver,
                "Count": d.count,
                "DeviceIDs": d.device_ids,
                "Capabilities": d.capabilities,
                "Options": d.options,
            }
            for d in r.device_requests
        ],
        "KernelMemoryTCP": 0,  # was never of use on today's cgroups
        "MemoryReservation": r.memory_reservation,
        "MemorySwap": r.memory_swap,
        "MemorySwappiness": r.memory_swappiness,
        "OomKillDisable": r.oom_kill_disable,
        "PidsLimit": r.pids_limit,
        "Ulimits": [{"Name": u.name, "Hard": u.hard, "Soft": u.soft} for u in r.ulimits],
        "CpuCount": r.cpu_count,
        "CpuPercent": r.cpu_percent,
        "IOMaximumIOps": r.io_maximum_iops,
        "IOMaximumBandwidth": r.io_maximum_bandwidth,
    }


def _effective(given: tuple[str, ...] | None, used: tuple[str, ...]) -> tuple[str, ...] | None:
    """What a container gets; null where nothing was said and it gets none."""
    return used if given is not None or used else None


def host_config_json(host: HostConfig) -> Json:
    """A container's HostConfig, complete."""
    optional = {
        "Annotations": ordered(host.annotations),
        "StorageOpt": ordered(host.storage_opt),
        "Tmpfs": ordered(host.tmpfs),
        "Sysctls": ordered(host.sysctls),
        "Runtime": host.runtime,
        "Mounts": [mount_request_json(each) for each in host.mounts or ()] or None,
    }
    init = {} if host.init is None else {"Init": host.init}
    return {
        "Binds": host.binds,
        "ContainerIDFile": host.container_id_file,
        "LogConfig": {"Type": host.log_config.type, "Config": ordered(host.log_config.config)},
        "NetworkMode": host.network_mode,
        "PortBindings": bindings_json(host),
        "RestartPolicy": {
            "Name": host.restart_policy.name,
            "MaximumRetryCount": host.restart_policy.maximum_retry_count,
        },
        "AutoRemove": host.auto_remove,
        "VolumeDriver": host.volume_driver,
        "VolumesFrom": host.volumes_from,
        "ConsoleSize": host.console_size,
        "CapAdd": host.cap_add,
        "CapDrop": host.cap_drop,
        "CgroupnsMode": host.cgroupns_mode,
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": host.extra_hosts,
        "GroupAdd": host.group_add,
        "IpcMode": host.ipc_mode,
        "Cgroup": host.cgroup,
        "Links": host.links,
        "OomScoreAdj": host.oom_score_adj,
        "PidMode": host.pid_mode,
        "Privileged": host.privileged,
        "PublishAllPorts": host.publish_all_ports,
        "ReadonlyRootfs": host.readonly_rootfs,
        "SecurityOpt": host.security_opt,
        "UTSMode": host.uts_mode,
        "UsernsMode": host.userns_mode,
        "ShmSize": host.shm_size,
        "Isolation": host.isolation,
        "MaskedPaths": _effective(host.masked_paths, masked_paths(host)),
        "ReadonlyPaths": _effective(host.readonly_paths, readonly_paths(host)),
        **_resources_json(host.resources),
        **_present(optional),
        **init,
    }


def mount_request_json(mount: MountRequest) -> Json:
    """One mount as it was asked for."""
    found = _present(
        {
            "Type": mount.type,
            "Source": mount.source,
            "Target": mount.target,
            "ReadOnly": mount.read_only,
            "Consistency": mount.consistency,
        }
    )
    if (bind := mount.bind_options) is not None:
        found["BindOptions"] = _present(
            {
                "Propagation": bind.propagation,
                "NonRecursive": bind.non_recursive,
                "CreateMountpoint": bind.create_mountpoint,
                "ReadOnlyNonRecursive": bind.read_only_non_recursive,
                "ReadOnlyForceRecursive": bind.read_only_force_recursive,
            }
        )
    if (volume := mount.volume_options) is not None:
        driver = _present({"Name": volume.driver_name, "Options": volume.driver_options})
        found["VolumeOptions"] = _present(
            {"NoCopy": volume.no_copy, "Labels": volume.labels, "DriverConfig": driver, "Subpath": volume.subpath}
        )
    if (tmpfs := mount.tmpfs_options) is not None:
        found["TmpfsOptions"] = _present({"SizeBytes": tmpfs.size_bytes, "Mode": tmpfs.mode})
    return found
