"""The requests of a recording: what is asked of dockerd, so that its answers show all that they can have."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

BUSYBOX = Path("/bin/busybox")


class Daemon(Protocol):
    """A client of an engine."""

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send one request and return the answer, decoded if it is JSON."""


def all_requests(daemon: Daemon) -> None:
    """Make and remove one of everything."""
    system_requests(daemon)
    image_requests(daemon)
    network_requests(daemon)
    volume_requests(daemon)
    container_requests(daemon)
    removal_requests(daemon)


def system_requests(daemon: Daemon) -> None:
    """What the engine tells of itself, and of a swarm it is not part of."""
    daemon.ask("HEAD", "/_ping")
    for path in (
        "/_ping",
        "/version",
        "/info",
        "/plugins",
        "/swarm",
        "/nodes",
        "/services",
        "/tasks",
        "/secrets",
        "/configs",
    ):
        daemon.ask("GET", path)


def image_requests(daemon: Daemon) -> None:
    """Import, load, list, inspect, tag."""
    daemon.ask(
        "POST",
        "/images/create?fromSrc=-&repo=imported&tag=latest&changes=CMD%20sh&message=imported",
        root_file_system(),
    )
    daemon.ask("POST", "/images/load", image_archive("busybox:latest"))
    daemon.ask("POST", "/images/busybox/tag?repo=example/renamed&tag=one", b"")
    for name in ("busybox", "imported", "example/renamed:one"):
        daemon.ask("GET", f"/images/{name}/json")
        daemon.ask("GET", f"/images/{name}/history")
    daemon.ask("GET", "/images/json?all=1&digests=1")


def network_requests(daemon: Daemon) -> None:
    """Networks without and with everything."""
    config = [
        {
            "Subnet": "10.77.0.0/24",
            "IPRange": "10.77.0.0/25",
            "Gateway": "10.77.0.1",
            "AuxiliaryAddresses": {"a": "10.77.0.9"},
        }
    ]
    daemon.ask("POST", "/networks/create", {"Name": "plain"})
    daemon.ask(
        "POST",
        "/networks/create",
        {"Name": "full", "IPAM": {"Config": config}, "Labels": {"a": "b"}, "Attachable": True},
    )
    daemon.ask("GET", "/networks")
    for name in ("plain", "full", "bridge", "host", "none"):
        daemon.ask("GET", f"/networks/{name}")


def volume_requests(daemon: Daemon) -> None:
    """Volumes without and with everything."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    daemon.ask("GET", "/volumes")
    daemon.ask("POST", "/volumes/create", {"Name": "plain"})
    daemon.ask(
        "POST", "/volumes/create", {"Name": "full", "Driver": "local", "DriverOpts": options, "Labels": {"a": "b"}}
    )
    daemon.ask("GET", "/volumes")
    daemon.ask("GET", "/volumes/plain")
    daemon.ask("GET", "/volumes/full")


SPECS: Mapping[str, dict[str, Any]] = {
    "plain": {"Image": "busybox", "Cmd": ["sleep", "300"]},
    "short": {"Image": "busybox", "Cmd": ["true"]},
    "hosted": {"Image": "busybox", "Cmd": ["sleep", "300"], "HostConfig": {"NetworkMode": "host"}},
    "alone": {"Image": "busybox", "Cmd": ["sleep", "300"], "HostConfig": {"NetworkMode": "none"}},
    "broken": {"Image": "imported", "Cmd": ["/no/such/program"]},
    "found": {
        "Image": "imported",
        "Cmd": ["sleep", "300"],
        "StopSignal": "SIGUSR1",
        "Shell": ["/bin/sh", "-c"],
        "MacAddress": "02:42:0a:4d:00:30",
        "HostConfig": {
            "NetworkMode": "full",
            "Init": True,
            "Tmpfs": {"/t": "size=1m"},
            "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}],
            "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "RestartPolicy": {"Name": "always"},
        },
        "NetworkingConfig": {"EndpointsConfig": {"full": {"IPAMConfig": {}}}},
    },
    "full": {
        "Image": "busybox",
        "Cmd": ["sleep", "300"],
        "Tty": True,
        "StopTimeout": 1,
        "Env": ["A=b"],
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
        "Volumes": {"/anonymous": {}},
        "Healthcheck": {
            "Test": ["CMD", "true"],
            "Interval": 10**9,
            "Timeout": 10**9,
            "Retries": 2,
            "StartPeriod": 10**9,
        },
        "HostConfig": {
            "Binds": ["plain:/named", "/etc:/bound:ro"],
            "Mounts": [
                {"Type": "tmpfs", "Target": "/memory", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
                {
                    "Type": "volume",
                    "Source": "full",
                    "Target": "/full",
                    "ReadOnly": True,
                    "VolumeOptions": {"NoCopy": True},
                },
                {"Type": "bind", "Source": "/etc", "Target": "/long", "BindOptions": {"Propagation": "rprivate"}},
            ],
            "NetworkMode": "full",
            "PortBindings": {"80/tcp": [{"HostPort": "8080"}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
            "Memory": 64 << 20,
            "NanoCpus": 10**9,
            "PidsLimit": 100,
        },
        "NetworkingConfig": {
            "EndpointsConfig": {"full": {"IPAMConfig": {"IPv4Address": "10.77.0.20"}, "Aliases": ["x"]}}
        },
    },
}


def container_requests(daemon: Daemon) -> None:
    """Containers in every state, with little and with much."""
    for name, spec in SPECS.items():
        daemon.ask("POST", f"/containers/create?name={name}", spec)
    look(daemon)
    daemon.ask("POST", "/networks/plain/connect", {"Container": "plain"})
    for name in SPECS:
        daemon.ask("POST", f"/containers/{name}/start")
    daemon.ask("POST", "/containers/short/wait")
    daemon.ask("POST", "/containers/broken/wait")
    wait_for_a_health_check(daemon)
    look(daemon)
    daemon.ask("GET", "/networks/full")
    daemon.ask("GET", "/networks/plain")
    daemon.ask("POST", "/containers/full/resize?h=20&w=70")
    daemon.ask("GET", "/containers/full/logs?stdout=1")
    daemon.ask("POST", "/networks/plain/disconnect", {"Container": "plain"})
    daemon.ask("POST", "/containers/full/restart?t=0")
    daemon.ask("POST", "/containers/full/stop?t=0")
    daemon.ask("POST", "/containers/plain/kill")
    daemon.ask("POST", "/containers/plain/wait")
    look(daemon)


def look(daemon: Daemon) -> None:
    """List the containers and inspect each."""
    daemon.ask("GET", "/containers/json?all=1")
    daemon.ask("GET", "/containers/json?all=1&size=1")
    for name in SPECS:
        daemon.ask("GET", f"/containers/{name}/json")
    daemon.ask("GET", "/containers/full/json?size=1")
    for name in ("full", "hosted"):
        daemon.ask("GET", f"/containers/{name}/stats?stream=0")


def wait_for_a_health_check(daemon: Daemon) -> None:
    """Return when the container with a health check was checked once."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if daemon.ask("GET", "/containers/full/json")["State"]["Health"]["Log"]:
            return
        time.sleep(0.3)
    raise SystemExit("no health check was made")


def removal_requests(daemon: Daemon) -> None:
    """Remove everything; what happened is told last."""
    for name in SPECS:
        daemon.ask("DELETE", f"/containers/{name}?force=1&v=1")
    for name in ("plain", "full"):
        daemon.ask("DELETE", f"/networks/{name}")
        daemon.ask("DELETE", f"/volumes/{name}")
    for name in ("example/renamed:one", "busybox", "imported"):
        daemon.ask("DELETE", f"/images/{name}")
    daemon.ask("GET", f"/events?since=0&until={int(time.time()) + 1}")


def root_file_system() -> bytes:
    """A tar archive of busybox under its own name and those of its commands."""
    commands = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "etc", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        add_file(archive, "bin/busybox", BUSYBOX.read_bytes(), 0o755)
        for command in commands:
            if command != "busybox":
                entry = tarfile.TarInfo(f"bin/{command}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
    return buffer.getvalue()


def image_archive(name: str) -> bytes:
    """An archive that `load` takes, of one image with one layer."""
    layer = root_file_system()
    identity = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {
            "Cmd": ["sh"],
            "Env": ["PATH=/bin"],
            "Labels": {"a": "b"},
            "Volumes": {"/data": {}},
            "ExposedPorts": {"80/tcp": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [identity]},
        "history": [
            {"created": "2024-01-01T00:00:00Z", "created_by": "ADD", "comment": "c"},
            {"created_by": "CMD", "empty_layer": True},
        ],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add_file(archive, "layer.tar", layer, 0o644)
        add_file(archive, "config.json", json.dumps(config).encode(), 0o644)
        add_file(archive, "manifest.json", json.dumps(manifest).encode(), 0o644)
    return buffer.getvalue()


def add_file(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    """Put a regular file into an archive."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
