"""The limits of a container's creation."""

from __future__ import annotations

from wherry.model.configs import DeviceMapping, DeviceRequest, Resources, ThrottleDevice, Ulimit, WeightDevice
from wherry_api.shapes.read import Fields, maybe_sections


def read_resources(host: Fields) -> Resources:
    """The limits; they lie in HostConfig itself."""
    return Resources(
        cpu_shares=host.integer("CpuShares"),
        memory=host.integer("Memory"),
        cgroup_parent=host.text("CgroupParent"),
        blkio_weight=host.integer("BlkioWeight"),
        blkio_weight_device=tuple(
            WeightDevice(path=each.text("Path"), weight=each.integer("Weight"))
            for each in host.sections("BlkioWeightDevice")
        ),
        blkio_device_read_bps=_throttles(host, "BlkioDeviceReadBps"),
        blkio_device_write_bps=_throttles(host, "BlkioDeviceWriteBps"),
        blkio_device_read_iops=_throttles(host, "BlkioDeviceReadIOps"),
        blkio_device_write_iops=_throttles(host, "BlkioDeviceWriteIOps"),
        cpu_period=host.integer("CpuPeriod"),
        cpu_quota=host.integer("CpuQuota"),
        cpu_realtime_period=host.integer("CpuRealtimePeriod"),
        cpu_realtime_runtime=host.integer("CpuRealtimeRuntime"),
        cpuset_cpus=host.text("CpusetCpus"),
        cpuset_mems=host.text("CpusetMems"),
        devices=tuple(map(_device, host.sections("Devices"))),
        device_cgroup_rules=host.maybe_texts("DeviceCgroupRules"),
        device_requests=maybe_sections(host, "DeviceRequests", _device_request),
        memory_reservation=host.integer("MemoryReservation"),
        memory_swap=host.integer("MemorySwap"),
        memory_swappiness=host.maybe_integer("MemorySwappiness"),
        nano_cpus=host.integer("NanoCpus"),
        oom_kill_disable=host.maybe_boolean("OomKillDisable"),
        pids_limit=host.maybe_integer("PidsLimit"),
        ulimits=tuple(
            Ulimit(name=each.text("Name"), soft=each.integer("Soft"), hard=each.integer("Hard"))
            for each in host.sections("Ulimits")
        ),
        cpu_count=host.integer("CpuCount"),
        cpu_percent=host.integer("CpuPercent"),
        io_maximum_iops=host.integer("IOMaximumIOps"),
        io_maximum_bandwidth=host.integer("IOMaximumBandwidth"),
    )


def _throttles(host: Fields, name: str) -> tuple[ThrottleDevice, ...]:
    return tuple(ThrottleDevice(path=each.text("Path"), rate=each.integer("Rate")) for each in host.sections(name))


def _device(fields: Fields) -> DeviceMapping:
    return DeviceMapping(
        path_on_host=fields.text("PathOnHost"),
        path_in_container=fields.text("PathInContainer"),
        cgroup_permissions=fields.text("CgroupPermissions") or "rwm",
    )


def _device_request(fields: Fields) -> DeviceRequest:
    capabilities = fields.values.get("capabilities") or []
    if not (
        isinstance(capabilities, list)
        and all(isinstance(group, list) and all(isinstance(item, str) for item in group) for group in capabilities)
    ):
        fields.fault("Capabilities", "must be a list of lists of texts")
        capabilities = []
    return DeviceRequest(
        driver=fields.text("Driver"),
        count=fields.integer("Count"),
        device_ids=fields.texts("DeviceIDs"),
        capabilities=tuple(map(tuple, capabilities)),
        options=fields.text_map("Options"),
    )
