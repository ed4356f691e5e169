"""What the fake daemon knows: a few containers, images, networks and volumes with every odd shape a list can show."""

from __future__ import annotations

import time
from typing import Any

HEX = "0123456789abcdef"


def ident(digit: str) -> str:
    """A full id that begins with `digit` and the rest of the hex digits."""
    return (digit + HEX * 4)[:64]


def sha(digit: str) -> str:
    """An image id."""
    return "sha256:" + ident(digit)


def ago(seconds: float) -> int:
    """A unix time so many seconds back."""
    return int(time.time() - seconds)


def container(digit: str, **changes: Any) -> dict[str, Any]:
    """One entry of the container list."""
    entry: dict[str, Any] = {
        "Id": ident(digit),
        "Names": [f"/box-{digit}"],
        "Image": "busybox",
        "ImageID": sha("a"),
        "Command": "sh",
        "Created": ago(190),
        "Ports": [],
        "Labels": {},
        "State": "running",
        "Status": "Up 3 minutes",
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {"bridge": {}}},
        "Mounts": [],
    }
    return {**entry, **changes}


def port(private: int, public: int = 0, ip: str = "", kind: str = "tcp") -> dict[str, Any]:
    """One entry of a container's ports, as the list has it."""
    entry: dict[str, Any] = {"PrivatePort": private, "Type": kind}
    if public:
        entry |= {"IP": ip, "PublicPort": public}
    return entry


def sample(ref: str, **changes: Any) -> dict[str, Any]:
    """One sample of what a container uses; that of `web` is of control groups of version 2."""
    before = {"cpu_usage": {"total_usage": 10**9}, "system_cpu_usage": 10**10, "online_cpus": 2}
    now = {"cpu_usage": {"total_usage": 1_512_345_678}, "system_cpu_usage": 12 * 10**9, "online_cpus": 2}
    networks = {f"eth{n}": {"rx_bytes": 1234567 * n, "tx_bytes": 999 + n} for n in range(2)}
    entries = [(8, "Read", 4_261_550), (8, "Write", 4096), (8, "Total", 9), (254, "read", 1_000_000)]
    found: dict[str, Any] = {
        "id": ident("1" if ref == "box-1" else "4"),
        "name": f"/{ref}",
        "read": "2024-05-01T10:11:12.5Z",
        "preread": "2024-05-01T10:11:11.5Z",
        "cpu_stats": now,
        "precpu_stats": before,
        "memory_stats": {
            "usage": 52_000_000,
            "limit": 25_276_502_016,
            "stats": {"total_inactive_file": 2_000_000, "inactive_file": 1},
        },
        "networks": networks,
        "blkio_stats": {
            "io_service_bytes_recursive": [{"major": m, "minor": 0, "op": op, "value": v} for m, op, v in entries]
        },
        "pids_stats": {"current": 12},
    }
    if ref == "web":
        found["memory_stats"] = {"usage": 5_000, "limit": 67_108_864, "stats": {"inactive_file": 1_000}}
        found["blkio_stats"] = {"io_service_bytes_recursive": None}
        del found["networks"], found["precpu_stats"]["system_cpu_usage"]
    elif ref != "box-1":
        found |= {"id": ref, "memory_stats": {}, "pids_stats": {}, "networks": None}
        found["cpu_stats"] = found["precpu_stats"] = {"cpu_usage": {"total_usage": 0}}
    return {**found, **changes}


CONTAINERS = [
    container("1", Ports=[port(80, 8080, "0.0.0.0"), port(80, 8080, "::"), port(443)], Labels={"b": "2", "a": "1<&>"}),
    container(
        "2",
        Image="nginx:1.25@sha256:" + ident("c"),
        Command="nginx -g 'daemon off;' \"quoted\" and more",
        Created=ago(3700),
    ),
    container(
        "3",
        Image=sha("a"),
        State="exited",
        Status="Exited (137) 2 hours ago",
        Created=ago(86400 * 3),
        SizeRw=1234567,
        SizeRootFs=98765432,
    ),
    container(
        "4",
        Image="docker.io/library/alpine:3",
        Names=["/web", "/other/alias"],
        Ports=[port(n, n, "0.0.0.0") for n in (8000, 8001, 8002)] + [port(53, 5353, "127.0.0.1", "udp")],
    ),
    container(
        "5",
        State="created",
        Status="Created",
        Created=ago(5),
        Mounts=[
            {"Type": "volume", "Name": ident("e"), "Driver": "local", "Source": ""},
            {"Type": "bind", "Source": "/etc/some/long/path"},
        ],
    ),
]


def image(digit: str, **changes: Any) -> dict[str, Any]:
    """One entry of the image list."""
    entry: dict[str, Any] = {
        "Id": sha(digit),
        "ParentId": "",
        "RepoTags": [],
        "RepoDigests": [],
        "Created": ago(86400 * 20),
        "Size": 4261550,
        "SharedSize": -1,
        "VirtualSize": 4261550,
        "Labels": None,
        "Containers": -1,
    }
    return {**entry, **changes}


IMAGES = [
    image("a", RepoTags=["busybox:latest"], RepoDigests=["busybox@" + sha("b")]),
    image(
        "c",
        RepoTags=["localhost:5000/team/app:1.0", "localhost:5000/team/app:latest"],
        Created=ago(86400 * 800),
        Size=187_654_321,
    ),
    image("d", RepoDigests=["nginx@" + sha("e")], Size=999_600),
    image("f", RepoTags=["<none>:<none>"], RepoDigests=["<none>@<none>"], Size=12),
]

NETWORKS = [
    {
        "Name": name,
        "Id": ident(digit),
        "Created": "2024-05-01T10:11:12.123456789Z",
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}],
        },
        "Containers": {},
        "Options": {},
        "Labels": {"k": "v"} if name == "backend" else {},
    }
    for name, digit, driver in (
        ("bridge", "1", "bridge"),
        ("backend", "4", "bridge"),
        ("host", "2", "host"),
        ("none", "3", "null"),
    )
]

VOLUMES = [
    {
        "Name": "data",
        "Driver": "local",
        "Mountpoint": "/var/lib/wherry/volumes/data/_data",
        "Labels": {"team": "a"},
        "Scope": "local",
        "Options": None,
        "CreatedAt": "2024-05-01T10:11:12Z",
    },
    {
        "Name": ident("9"),
        "Driver": "nfs",
        "Mountpoint": "/m",
        "Labels": None,
        "Scope": "local",
        "Options": {"o": "ro"},
        "CreatedAt": "2024-05-02T10:11:12Z",
        "UsageData": {"Size": 5000, "RefCount": 2},
    },
]

INSPECTED: dict[str, Any] = {
    "Id": ident("1"),
    "Created": "2024-05-01T10:11:12.123456789Z",
    "Path": "sh",
    "Args": ["-c", "echo <a> & b"],
    "State": {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 4321,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2024-05-01T10:11:13Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    },
    "Image": sha("a"),
    "Name": "/box-1",
    "RestartCount": 0,
    "Mounts": [],
    "Config": {
        "Hostname": "box",
        "Env": ["A=1", "B=2"],
        "Cmd": ["sh"],
        "Image": "busybox",
        "Labels": {"a.b": "x", "c": "d"},
        "Tty": False,
        "OpenStdin": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
    },
    "HostConfig": {
        "Memory": 134217728,
        "AutoRemove": False,
        "NetworkMode": "bridge",
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
    },
    "NetworkSettings": {
        "Bridge": "",
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
        "Networks": {"bridge": {"IPAddress": "172.17.0.2", "Gateway": "172.17.0.1", "Links": None}},
    },
}

SERVER_VERSION: dict[str, Any] = {
    "Platform": {"Name": "Wherry"},
    "Components": [
        {"Name": "Engine", "Version": "0.1.0", "Details": {"ApiVersion": "1.50", "Arch": "amd64", "BuildTime": "2024-05-01T10:11:12.000000000+00:00", "Experimental": "false", "GitCommit": "abcdef", "GoVersion": "n/a", "KernelVersion": "6.18", "MinAPIVersion": "1.24", "Os": "linux"}},
        {"Name": "crun", "Version": "1.8.1", "Details": {"GitCommit": "f8a096be"}},
    ],
    "Version": "0.1.0", "ApiVersion": "1.50", "MinAPIVersion": "1.24", "GitCommit": "abcdef", "GoVersion": "n/a", "Os": "linux", "Arch": "amd64", "KernelVersion": "6.18", "BuildTime": "2024-05-01T10:11:12.000000000+00:00",
}  # fmt: skip

INFO: dict[str, Any] = {
    "ID": "3f9c4c2e-0000-4000-8000-000000000000", "Containers": 5, "ContainersRunning": 3, "ContainersPaused": 0, "ContainersStopped": 2, "Images": 4,
    "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]], "Plugins": {"Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": None, "Log": ["json-file", "none"]},
    "MemoryLimit": True, "SwapLimit": True, "CpuCfsPeriod": True, "CpuCfsQuota": True, "CPUShares": True, "CPUSet": True, "PidsLimit": True, "IPv4Forwarding": True, "Debug": False, "NFd": 30, "OomKillDisable": True, "NGoroutines": 40, "SystemTime": "2024-05-01T10:11:12Z",
    "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs", "CgroupVersion": "1", "NEventsListener": 0, "KernelVersion": "6.18", "OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "OSVersion": "12", "OSType": "linux", "Architecture": "x86_64",
    "IndexServerAddress": "https://index.docker.io/v1/", "RegistryConfig": {"InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "IndexConfigs": {}, "Mirrors": None}, "NCPU": 2, "MemTotal": 25217814528, "GenericResources": None, "DockerRootDir": "/var/lib/wherry",
    "HttpProxy": "", "HttpsProxy": "", "NoProxy": "", "Name": "host1", "Labels": ["zone=a"], "ExperimentalBuild": False, "ServerVersion": "0.1.0", "Runtimes": {"crun": {"path": "crun"}, "runc": {"path": "runc"}}, "DefaultRuntime": "crun",
    "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "", "RemoteManagers": None}, "LiveRestoreEnabled": True, "Isolation": "", "InitBinary": "tini",
    "ContainerdCommit": {"ID": ""}, "RuncCommit": {"ID": "v1.1.5"}, "InitCommit": {"ID": "de40ad0"}, "SecurityOptions": ["name=seccomp,profile=builtin"], "CDISpecDirs": ["/etc/cdi"], "Warnings": ["WARNING: bridge-nf-call-iptables is disabled"],
}  # fmt: skip
