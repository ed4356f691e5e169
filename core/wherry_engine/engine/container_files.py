"""The files that the engine gives a container: hosts, hostname, resolv.conf, its bundle, and where they lie."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from wherry.errors import Invalid
from wherry.model.configs import Config, HostConfig
from wherry.model.containers import Container
from wherry.model.networks import EndpointRecord
from wherry_engine.engine.bundle import BundleMount
from wherry_engine.engine.joins import other
from wherry_engine.engine.resolv_conf import ResolvConf, is_address

HOST_HOSTS = Path("/etc/hosts")
MARK = ".dockerenv"
HOST_GATEWAY = "host-gateway"
HOSTNAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63}")
LOOPBACK = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)


def shared_with(container: Container) -> str:
    """The id of the container whose network, and so whose names, this one has; "" if it has its own."""
    return other(container.host.network_mode)


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

    def shm(self, id: str) -> Path:
        """Where the memory of a container that shares it is mounted while it runs."""
        return self.exec_root / "shm" / id

    def log(self, id: str, form: str) -> Path:
        """The newest file of its log, of the form `local` or any other."""
        return self.container(id) / ("local-logs/container.log" if form == "local" else f"{id}-json.log")

    def files(self, container: Container) -> HostFiles:
        """The container's files; those of another if it is in that one's network."""
        folder = self.container(shared_with(container) or container.id)
        return HostFiles(str(folder / "hosts"), str(folder / "hostname"), str(folder / "resolv.conf"))


@attrs.frozen
class Surroundings:
    """What a container's files say of others."""

    resolv_conf: ResolvConf
    host_gateway: str  # what the name `host-gateway` stands for
    linked: tuple[tuple[str, str], ...] = ()  # (address, names) of the containers that it is linked to


def write_files(
    folders: Folders, container: Container, networks: Mapping[str, EndpointRecord], around: Surroundings
) -> None:
    """Write hosts, hostname and resolv.conf. They are rewritten at every start and need no sync."""
    folder = folders.container(container.id)
    folder.mkdir(mode=0o710, exist_ok=True)  # a loss of power after the creation may have taken it
    base = HOST_HOSTS.read_text() if container.host.network_mode == "host" and HOST_HOSTS.exists() else LOOPBACK
    (folder / "hosts").write_text(base + hosts(container, networks, around))
    (folder / "hostname").write_text(f"{container.config.hostname or socket.gethostname()}\n")
    (folder / "resolv.conf").write_text(around.resolv_conf.text())


def mark(rootfs: Path) -> None:
    """The empty file by which programs know that they are in a container. No link of the image's is followed."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        os.close(os.open(rootfs / MARK, flags, 0o755))


def update_files(
    folders: Folders,
    container: Container,
    before: Mapping[str, EndpointRecord],
    after: Mapping[str, EndpointRecord],
    asked: tuple[ResolvConf, ResolvConf],
) -> None:
    """The networks of a running container change: its lines in hosts with them, and resolv.conf (`asked` before and after)
    unless somebody else wrote that. Whatever else is in them stays, and the files themselves: they are mounted.
    """
    folder = folders.container(container.id)
    gone, wanted = own_lines(container, before), own_lines(container, after)
    lines = (folder / "hosts").read_text().splitlines(keepends=True)
    kept = [line for line in lines if line not in gone or line in wanted]
    (folder / "hosts").write_text("".join(kept + [line for line in wanted if line not in kept]))
    if (folder / "resolv.conf").read_text() == asked[0].text():
        (folder / "resolv.conf").write_text(asked[1].text())


def drop_line(folders: Folders, container: Container, line: str) -> None:
    """Take a line out of the container's hosts, if it is there."""
    file = folders.container(container.id) / "hosts"
    lines = file.read_text().splitlines(keepends=True)
    if line in lines:
        file.write_text("".join(each for each in lines if each != line))


def hosts(container: Container, networks: Mapping[str, EndpointRecord], around: Surroundings) -> str:
    """The container's own lines of /etc/hosts."""
    text = ""
    for entry in container.host.extra_hosts or ():
        name, address = extra_host(entry)
        if address == HOST_GATEWAY and not around.host_gateway:
            raise Invalid(
                f"unable to derive the IP value for host-gateway of {name}: there is no default network; name an address, or "
                "set host-gateway-ip in the engine's configuration"
            )
        text += f"{around.host_gateway if address == HOST_GATEWAY else address}\t{name}\n"
    text += "".join(f"{address}\t{names}\n" for address, names in around.linked)
    return text + "".join(own_lines(container, networks))


def own_lines(container: Container, networks: Mapping[str, EndpointRecord]) -> list[str]:
    """What hosts says of the container itself, a line for each address."""
    own = own_names(container)
    addresses = (address.partition("/")[0] for record in networks.values() for address in record.addresses)
    return [f"{address}\t{own}\n" for address in addresses if own]


def own_names(container: Container) -> str:
    """The container's full name, and its first part where it has several; "" if it has the host's name."""
    config = container.config
    full = f"{config.hostname}.{config.domainname}" if config.hostname and config.domainname else config.hostname
    first, dot, _ = full.partition(".")
    return f"{full} {first}" if dot else full


def extra_host(entry: str) -> tuple[str, str]:
    """NAME:ADDRESS or NAME=ADDRESS as (name, address)."""
    name, _, address = entry.partition("=") if "=" in entry else entry.partition(":")
    return name, address.removeprefix("[").removesuffix("]")


def faults(config: Config, host: HostConfig) -> Iterator[str]:
    """What is wrong with the names that were asked for: each must be one word, so that it cannot smuggle in a line."""
    for what, name in (("hostname", config.hostname), ("domainname", config.domainname)):
        if name and not HOSTNAME.fullmatch(name):
            yield f"invalid {what} format: {name}"
    for entry in host.extra_hosts or ():
        name, address = extra_host(entry)
        if not name or not address or len(name.split()) != 1 or not name.isprintable():
            yield f"bad format for add-host: {entry!r}"
        elif address != HOST_GATEWAY and not is_address(address):
            yield f"invalid IP address in add-host: {address!r}"


def own_mounts(files: HostFiles, taken: Sequence[str]) -> list[BundleMount]:
    """Binds of the container's own files, but for those whose place a user's mount takes."""
    pairs = (
        (files.resolv_conf, "/etc/resolv.conf"),
        (files.hostname, "/etc/hostname"),
        (files.hosts, "/etc/hosts"),
    )
    return [
        BundleMount(source=source, destination=destination, options=("bind", "rprivate"))
        for source, destination in pairs
        if destination not in taken
    ]
