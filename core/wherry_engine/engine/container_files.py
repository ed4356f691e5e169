"""The files that the engine gives a container: hosts, hostname, resolv.conf, its bundle, and where they lie."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from wherry.model.containers import Container
from wherry.model.networks import EndpointRecord
from wherry_engine.engine.bundle import BundleMount

HOST_RESOLV = Path("/etc/resolv.conf")
LOOPBACK = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)
FALLBACK_DNS = ("8.8.8.8", "8.8.4.4")  # what Docker falls back to where the host names only itself


@attrs.frozen
class HostFiles:
    """Paths of a container's own files on the host."""

    hosts: str
    hostname: str
    resolv_conf: str


@attrs.frozen
class Folders:
    """Where containers lie in the data root, and where what dies with the host lies in the exec root."""

    data_root: Path
    exec_root: Path

    def container(self, id: str) -> Path:
        """The container's folder in the data root."""
        return self.data_root / "containers" / id

    def rootfs(self, id: str) -> Path:
        """Where the container's root file system is mounted while it runs."""
        return self.data_root / "mounts" / id

    def bundle(self, id: str) -> Path:
        """The OCI bundle."""
        return self.exec_root / "bundles" / id

    def log(self, id: str) -> Path:
        """The json-file log."""
        return self.container(id) / f"{id}-json.log"

    def files(self, id: str) -> HostFiles:
        """The container's own files."""
        folder = self.container(id)
        return HostFiles(str(folder / "hosts"), str(folder / "hostname"), str(folder / "resolv.conf"))


def write_files(folders: Folders, container: Container, networks: Mapping[str, EndpointRecord]) -> None:
    """Write hosts, hostname and resolv.conf. They are rewritten at every start and need no sync."""
    folder = folders.container(container.id)
    (folder / "hosts").write_text(hosts(container, networks))
    (folder / "hostname").write_text(f"{container.config.hostname or socket.gethostname()}\n")
    (folder / "resolv.conf").write_text(resolv_conf(container, HOST_RESOLV.read_text() if HOST_RESOLV.exists() else ""))


def hosts(container: Container, networks: Mapping[str, EndpointRecord]) -> str:
    """The container's /etc/hosts."""
    text = LOOPBACK
    for entry in container.host.extra_hosts or ():
        name, _, address = entry.replace("=", ":", 1).partition(":")
        address = _gateway(networks) if address == "host-gateway" else address.strip("[]")
        text += f"{address}\t{name}\n"
    name = container.config.hostname
    names = f"{name}.{container.config.domainname} {name}" if container.config.domainname else name
    for record in networks.values():
        if record.address:
            text += f"{record.address.partition('/')[0]}\t{names}\n"
    return text


def _gateway(networks: Mapping[str, EndpointRecord]) -> str:
    return next((record.gateway for record in networks.values() if record.gateway), "127.0.0.1")


def resolv_conf(container: Container, host: str) -> str:
    """The container's /etc/resolv.conf: the host's without servers that only the host can reach, or what --dns says."""
    mine = container.host
    lines = [line.split() for line in host.splitlines() if line.strip() and line.strip()[0] not in "#;"]
    servers = list(mine.dns) or [words[1] for words in lines if words[0] == "nameserver" and len(words) > 1]
    if not mine.dns and mine.network_mode != "host":
        servers = [s for s in servers if not s.startswith("127.") and s != "::1"] or list(FALLBACK_DNS)
    search = list(mine.dns_search) or [word for words in lines if words[0] == "search" for word in words[1:]]
    options = list(mine.dns_options) or [word for words in lines if words[0] == "options" for word in words[1:]]
    text = "".join(f"nameserver {server}\n" for server in servers)
    if search and search != ["."]:
        text += f"search {' '.join(search)}\n"
    return text + (f"options {' '.join(options)}\n" if options else "")


def own_mounts(files: HostFiles, taken: Sequence[str]) -> list[BundleMount]:
    """Binds of the container's own files, but for those whose place a user's mount takes."""
    pairs = (
        (files.resolv_conf, "/etc/resolv.conf"),
        (files.hostname, "/etc/hostname"),
        (files.hosts, "/etc/hosts"),
    )
    return [
        BundleMount(source=source, destination=destination, options=("rbind", "rprivate"))
        for source, destination in pairs
        if destination not in taken
    ]
