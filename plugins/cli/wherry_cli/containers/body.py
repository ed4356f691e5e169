"""All flags of run and create as the body of POST /containers/create. Only what the user said is in it."""

from __future__ import annotations

from wherry_cli.containers.environment import environment, labels
from wherry_cli.containers.limits import resources
from wherry_cli.containers.mounts import mount, tmpfs, volumes
from wherry_cli.containers.networks import extra_host, networks
from wherry_cli.containers.ports import ports
from wherry_cli.containers.security import capabilities, security
from wherry_cli.errors import CliError
from wherry_cli.options import integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry_cli.options import Values

HEALTH = (
    "health-cmd",
    "health-interval",
    "health-retries",
    "health-start-interval",
    "health-start-period",
    "health-timeout",
)


def body(values: Values, image: str, command: Sequence[str], outside: Mapping[str, str]) -> dict[str, Any]:
    """The request. Raises CliError with the status that a wrong flag has."""
    exposed, bindings = ports(values["publish"], values["expose"])
    binds, anonymous = volumes(values["volume"])
    config: dict[str, Any] = {
        "Image": image,
        "Cmd": list(command),
        "Env": environment(values["env-file"], values["env"], outside),
        "Labels": labels(values["label-file"], values["label"]),
        "ExposedPorts": {port: {} for port in exposed},
        "Volumes": {path: {} for path in anonymous},
        "Entrypoint": [values["entrypoint"]] if "entrypoint" in values.given else None,
        "Hostname": values["hostname"],
        "Domainname": values["domainname"],
        "User": values["user"],
        "WorkingDir": values["workdir"],
        "StopSignal": values["stop-signal"],
        "Tty": values["tty"],
        "Healthcheck": health(values),
        **streams(values),
    }
    config = {name: value for name, value in config.items() if value}
    if "stop-timeout" in values.given:
        config["StopTimeout"] = values["stop-timeout"]
    config["HostConfig"] = host_config(values, binds, bindings)
    endpoints = networks(values)[1]
    if endpoints:
        config["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    return config


def streams(values: Values) -> dict[str, bool]:
    """Which streams are connected."""
    wanted = [text.lower() for text in values["attach"]]
    stdin = values["interactive"] or "stdin" in wanted
    return {
        "AttachStdin": stdin,
        "AttachStdout": not wanted or "stdout" in wanted,
        "AttachStderr": not wanted or "stderr" in wanted,
        "OpenStdin": values["interactive"],
        "StdinOnce": values["interactive"] and stdin,
    }


def health(values: Values) -> dict[str, Any] | None:
    """The health check, or None if nothing was said about it. Raises CliError."""
    given = [flag for flag in HEALTH if values[flag]]
    if values["no-healthcheck"]:
        if given:
            raise CliError("--no-healthcheck conflicts with --health-* options", 125)
        return {"Test": ["NONE"]}
    for flag in given:
        if flag != "health-cmd" and values[flag] < 0:
            raise CliError(f"--{flag} cannot be negative", 125)
    found = {
        "Test": ["CMD-SHELL", values["health-cmd"]] if values["health-cmd"] else [],
        "Interval": values["health-interval"],
        "Timeout": values["health-timeout"],
        "StartPeriod": values["health-start-period"],
        "StartInterval": values["health-start-interval"],
        "Retries": values["health-retries"],
    }
    return {name: value for name, value in found.items() if value} if given else None


def host_config(values: Values, binds: Sequence[str], bindings: Mapping[str, Any]) -> dict[str, Any]:
    """HostConfig. Raises CliError."""
    found: dict[str, Any] = {
        "Binds": list(binds),
        "ContainerIDFile": values["cidfile"],
        "LogConfig": log_config(values),
        "NetworkMode": networks(values)[0],
        "PortBindings": dict(bindings),
        "RestartPolicy": restart_policy(values["restart"]),
        "AutoRemove": values["rm"],
        "VolumeDriver": values["volume-driver"],
        "VolumesFrom": values["volumes-from"],
        "Mounts": [mount(text) for text in values["mount"]],
        "Annotations": {name: value for name, _, value in (text.partition("=") for text in values["annotation"])},
        "CapAdd": capabilities(values["cap-add"]),
        "CapDrop": capabilities(values["cap-drop"]),
        "CgroupnsMode": values["cgroupns"],
        "Dns": values["dns"],
        "DnsOptions": values["dns-option"],
        "DnsSearch": values["dns-search"],
        "ExtraHosts": [extra_host(text) for text in values["add-host"]],
        "GroupAdd": values["group-add"],
        "IpcMode": values["ipc"],
        "Links": values["link"],
        "OomScoreAdj": values["oom-score-adj"],
        "PidMode": values["pid"],
        "Privileged": values["privileged"],
        "PublishAllPorts": values["publish-all"],
        "ReadonlyRootfs": values["read-only"],
        "StorageOpt": _pairs(values["storage-opt"], "storage option"),
        "Tmpfs": tmpfs(values["tmpfs"]),
        "UTSMode": values["uts"],
        "UsernsMode": values["userns"],
        "ShmSize": values["shm-size"],
        "Sysctls": _pairs(values["sysctl"], "sysctl"),
        "Runtime": values["runtime"],
        "Isolation": values["isolation"],
    }
    check_modes(values)
    if values["rm"] and found["RestartPolicy"]["Name"] not in ("", "no"):
        raise CliError("conflicting options: cannot specify both --restart and --rm", 125)
    found = (
        {name: value for name, value in found.items() if value} | resources(values) | security(values["security-opt"])
    )
    if "init" in values.given:
        found["Init"] = values["init"]
    return found


def check_modes(values: Values) -> None:
    """Whose namespaces the container may have. Raises CliError."""
    allowed = {"pid": ("host", "private"), "uts": ("host",), "userns": ("host",), "cgroupns": ("host", "private")}
    names = {"userns": "USER", "cgroupns": "CGROUP"}
    for flag, known in allowed.items():
        mode = values[flag]
        if mode and mode not in known and not (flag == "pid" and mode.removeprefix("container:") not in ("", mode)):
            raise CliError(f"--{flag}: invalid {names.get(flag, flag.upper())} mode", 125)


def log_config(values: Values) -> dict[str, Any]:
    """The log driver with its options; empty if nothing was said. Raises CliError."""
    options = _pairs(values["log-opt"], "log option")
    if values["log-driver"] == "none" and options:
        raise CliError("invalid logging opts for driver none", 125)
    found = {"Type": values["log-driver"], "Config": options}
    return found if values["log-driver"] or options else {}


def restart_policy(text: str) -> dict[str, Any]:
    """NAME or NAME:TIMES. Raises CliError."""
    name, colon, times = text.partition(":")
    if colon and not name:
        raise CliError("invalid restart policy format: no policy provided before colon", 125)
    try:
        count = integer(times) if colon else 0
    except ValueError:
        raise CliError("invalid restart policy format: maximum retry count must be an integer", 125) from None
    return {"Name": name, "MaximumRetryCount": count}


def _pairs(texts: Sequence[str], what: str) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise CliError(f"invalid {what}: {text} must be formatted as NAME=VALUE", 125)
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
