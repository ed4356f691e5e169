"""The engine and its host: info and version."""

from __future__ import annotations

from typing import Any

from wherry.model.system import EngineInfo, PluginNames, RuntimeInfo, VersionInfo
from wherry_api.shapes.times import time_text
from wherry_api.versions import NEWEST, OLDEST, Version, version_text

Json = dict[str, Any]
SWARM_INACTIVE = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}
INDEX = "https://index.docker.io/v1/"


def version_json(about: VersionInfo) -> Json:
    """The version of the engine, twice as Docker has it: in old fields of its own, and as the first component."""
    served = {"ApiVersion": version_text(NEWEST), "MinAPIVersion": version_text(OLDEST)}
    facts = {
        "GitCommit": about.git_commit,
        "GoVersion": about.language_version,
        "Os": about.os,
        "Arch": about.arch,
        "KernelVersion": about.kernel_version,
        "BuildTime": about.build_time,
    }
    details = {**served, **facts, "Experimental": str(about.experimental).lower()}
    components: list[Json] = [{"Name": "Engine", "Version": about.version, "Details": details}]
    components += [{"Name": c.name, "Version": c.version, "Details": dict(c.details)} for c in about.components]
    experimental = {"Experimental": True} if about.experimental else {}
    return {
        "Platform": {"Name": about.platform},
        "Components": components,
        "Version": about.version,
        **served,
        **facts,
        **experimental,
    }


def info_json(info: EngineInfo, version: Version) -> Json:
    """All about the engine and its host."""
    return {**_engine_json(info, version), **_host_json(info, version), **_versioned_json(info, version)}


def _engine_json(info: EngineInfo, version: Version) -> Json:
    counts = info.counts
    return {
        "ID": info.id,
        "Containers": counts.containers,
        "ContainersRunning": counts.running,
        "ContainersPaused": counts.paused,
        "ContainersStopped": counts.stopped,
        "Images": counts.images,
        "Driver": info.storage_driver,
        "DriverStatus": info.storage_status,
        "Plugins": _plugins_json(info.plugins),
        "Debug": info.debug,
        "NFd": info.descriptors,
        "NGoroutines": info.tasks,
        "NEventsListener": info.event_listeners,
        "SystemTime": time_text(info.time_ns),
        "LoggingDriver": info.log_driver,
        "CgroupDriver": info.cgroup_driver,
        "CgroupVersion": info.cgroup_version,
        "IndexServerAddress": INDEX,
        "RegistryConfig": _registries_json(info, version),
        "DockerRootDir": info.root,
        "Labels": info.labels,
        "ExperimentalBuild": info.experimental,
        "ServerVersion": info.version,
        "Runtimes": {name: _runtime_json(each, version) for name, each in info.runtimes.items()},
        "DefaultRuntime": info.default_runtime,
        "Swarm": SWARM_INACTIVE,
        "LiveRestoreEnabled": info.live_restore,
        "Isolation": "",
        "InitBinary": info.init_binary,
        "ContainerdCommit": _commit_json("", version),
        "RuncCommit": _commit_json(info.runtime_version, version),
        "InitCommit": _commit_json(info.init_version, version),
        "SecurityOptions": info.security_options if version >= (1, 25) else _plain_options(info.security_options),
        "CDISpecDirs": info.cdi_directories,
        "Warnings": info.warnings or None,
    }


def _host_json(info: EngineInfo, version: Version) -> Json:
    limits = info.limits
    return {
        "MemoryLimit": limits.memory,
        "SwapLimit": limits.swap,
        "KernelMemoryTCP": False,
        "CpuCfsPeriod": limits.cpu_period,
        "CpuCfsQuota": limits.cpu_quota,
        "CPUShares": limits.cpu_shares,
        "CPUSet": limits.cpuset,
        "PidsLimit": limits.pids,
        "OomKillDisable": limits.oom_kill_disable,
        "IPv4Forwarding": info.ipv4_forwarding,
        "BridgeNfIptables": False,  # bridged packets need not pass through the firewall here
        "BridgeNfIp6tables": False,
        "KernelVersion": info.kernel_version,
        "OperatingSystem": info.operating_system,
        "OSVersion": info.os_version,
        "OSType": info.os_type,
        "Architecture": info.architecture,
        "NCPU": info.cpus,
        "MemTotal": info.memory_total,
        "GenericResources": None,
        "HttpProxy": info.registries.http_proxy,
        "HttpsProxy": info.registries.https_proxy,
        "NoProxy": info.registries.no_proxy,
        "Name": info.name,
    }


def _versioned_json(info: EngineInfo, version: Version) -> Json:
    """Fields that only some versions have, or only some engines."""
    found: Json = {}
    if info.address_pools:
        found["DefaultAddressPools"] = [{"Base": pool.base, "Size": pool.size} for pool in info.address_pools]
    if info.firewall and version >= (1, 49):
        found["FirewallBackend"] = {"Driver": info.firewall, "Info": info.firewall_details}
    return found


def _plugins_json(names: PluginNames) -> Json:
    return {
        "Volume": names.volume,
        "Network": names.network,
        "Authorization": names.authorization or None,
        "Log": names.log,
    }


def _registries_json(info: EngineInfo, version: Version) -> Json:
    told = info.registries
    hosts = [each for each in told.insecure if "/" not in each]
    index = {"docker.io": {"Name": "docker.io", "Mirrors": told.mirrors, "Secure": True, "Official": True}}
    insecure = {each: {"Name": each, "Mirrors": [], "Secure": False, "Official": False} for each in hosts}
    names = ("AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames")
    return {
        **(dict.fromkeys(names) if version < (1, 49) else {}),
        "InsecureRegistryCIDRs": [each for each in told.insecure if "/" in each],
        "IndexConfigs": index | insecure,
        "Mirrors": told.mirrors or None,
    }


def _runtime_json(runtime: RuntimeInfo, version: Version) -> Json:
    found: Json = {"path": runtime.path}
    if runtime.arguments:
        found["runtimeArgs"] = runtime.arguments
    if runtime.features and version >= (1, 44):
        found["status"] = dict(runtime.features)
    return found


def _commit_json(id: str, version: Version) -> Json:
    return {"ID": id} if version >= (1, 49) else {"ID": id, "Expected": id}


def _plain_options(options: tuple[str, ...]) -> list[str]:
    """Old clients know these by a single word."""
    return [each.partition("name=")[2].partition(",")[0] or each for each in options]
