"""Containers: the answer to an inspection, and its parts that lists share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from wherry.model.configs import HostConfig
from wherry.model.containers import Container, Health, MountPoint, State
from wherry.model.names import short_id
from wherry_api.facade import Containers
from wherry_api.shapes.configs import config_json, host_config_json
from wherry_api.shapes.endpoints import endpoint_json
from wherry_api.shapes.ports import published_json
from wherry_api.shapes.times import time_text
from wherry_api.versions import Version

Json = dict[str, Any]
DEFAULT_NETWORK = "bridge"
_PREDEFINED = ("bridge", "host", "none", "default")


def mount_json(mount: MountPoint) -> Json:
    """One mount point."""
    found: Json = {"Type": mount.type}
    if mount.name:
        found["Name"] = mount.name
    found["Source"] = mount.source
    found["Destination"] = mount.destination
    if mount.driver:
        found["Driver"] = mount.driver
    return found | {"Mode": mount.mode, "RW": mount.writable, "Propagation": mount.propagation}


def state_json(state: State) -> Json:
    """What it is doing."""
    health = {"Health": _health_json(state.health)} if state.health else {}
    return {
        "Status": state.status,
        "Running": state.running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": time_text(state.started_ns),
        "FinishedAt": time_text(state.finished_ns),
        **health,
    }


def _health_json(health: Health) -> Json:
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": time_text(each.start_ns),
                "End": time_text(each.end_ns),
                "ExitCode": each.exit_code,
                "Output": each.output,
            }
            for each in health.log
        ],
    }


def inspect_json(
    container: Container,
    containers: Containers,
    version: Version,
    size: tuple[int, int] | None,
    execs: Sequence[str],
) -> Json:
    """All about a container; `size` is of its own layer and of the whole, if they were asked for."""
    files = containers.files(container)
    config = config_json(container.config)
    if version < (1, 44) and not container.config.mac_address and (mac := _main_mac(container)):
        config["MacAddress"] = mac
    sizes = {} if size is None else {"SizeRw": size[0], "SizeRootFs": size[1]}
    return {
        "Id": container.id,
        "Created": time_text(container.created_ns),
        "Path": container.path,
        "Args": container.args,
        "State": state_json(container.state),
        "Image": container.image_id,
        "ResolvConfPath": str(files.resolv_conf),
        "HostnamePath": str(files.hostname),
        "HostsPath": str(files.hosts),
        "LogPath": containers.log_path(container),
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": container.storage_driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(execs) or None,
        "HostConfig": host_config_json(_shown(container)),
        "GraphDriver": {"Data": dict(containers.graph(container)) or None, "Name": container.storage_driver},
        **sizes,
        "Mounts": [mount_json(each) for each in container.mounts],
        "Config": config,
        "NetworkSettings": network_settings_json(container, containers.sandbox_key(container), version),
    }


def _shown(container: Container) -> HostConfig:
    """What was asked for, with the runtime also where none was, and links as who is called what in whom.

    Those of networks with names are names there, and stand with the endpoints.
    """
    links = None
    if container.host.network_mode == DEFAULT_NETWORK and container.host.links:
        pairs = (text.removeprefix("/").partition(":") for text in container.host.links)
        links = tuple(f"/{name}:/{container.name}/{alias.rpartition('/')[2] or name}" for name, _, alias in pairs)
    return attrs.evolve(container.host, runtime=container.runtime, links=links)


def _main_mac(container: Container) -> str:
    record = container.networks.get(container.host.network_mode)
    return record.spec.mac_address if record else ""


def network_settings_json(container: Container, sandbox_key: str, version: Version) -> Json:
    """The network as the container sees it; some facts of the default network stand at the top as well."""
    networks = {name: endpoint_json(record) for name, record in sorted(container.networks.items())}
    if version < (1, 45) and container.host.network_mode not in _PREDEFINED:
        for endpoint in networks.values():
            names = [*(endpoint["Aliases"] or ()), short_id(container.id), container.config.hostname]
            endpoint["Aliases"] = list(dict.fromkeys(filter(None, names)))
    main = networks.get(DEFAULT_NETWORK, {})
    return {
        "Bridge": "",
        "SandboxID": container.id if container.state.alive else "",
        "SandboxKey": sandbox_key,
        "Ports": published_json(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": main.get("EndpointID", ""),
        "Gateway": main.get("Gateway", ""),
        "GlobalIPv6Address": main.get("GlobalIPv6Address", ""),
        "GlobalIPv6PrefixLen": main.get("GlobalIPv6PrefixLen", 0),
        "IPAddress": main.get("IPAddress", ""),
        "IPPrefixLen": main.get("IPPrefixLen", 0),
        "IPv6Gateway": main.get("IPv6Gateway", ""),
        "MacAddress": main.get("MacAddress", ""),
        "Networks": networks,
    }
