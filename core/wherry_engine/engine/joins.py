"""Containers that live in namespaces of another one: whose they are, and where these are while that one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from wherry.errors import Conflict, Invalid, NotFound
from wherry.model.configs import HostConfig
from wherry.model.containers import Container

_PREFIX = "container:"
SHM = "/dev/shm"
SHAREABLE = "shareable"


@attrs.frozen
class Joined:
    """What a container has of others: namespaces by their OCI type, and the host's path of what is at /dev/shm."""

    namespaces: tuple[tuple[str, str], ...] = ()
    shm: str = ""


def is_joined(mode: str) -> bool:
    """Whether a mode is another container's namespace."""
    return mode.startswith(_PREFIX)


def other(mode: str) -> str:
    """The container that a mode names, "" if it names none."""
    return mode.removeprefix(_PREFIX) if is_joined(mode) else ""


def has_own_network(host: HostConfig) -> bool:
    """Whether there is a network namespace of its own, not the host's or that of another container."""
    return host.network_mode != "host" and not is_joined(host.network_mode)


def settle_modes(host: HostConfig, find: Callable[[str], Container]) -> HostConfig:
    """With ids for names, which may come to belong to others. Raises what `find` raises."""

    def settled(mode: str) -> str:
        return f"{_PREFIX}{find(other(mode)).id}" if other(mode) else mode

    try:
        network = settled(host.network_mode)
    except Invalid as error:
        raise Invalid(f"joining network namespace of container: {error.text}") from error
    return attrs.evolve(
        host,
        network_mode=network,
        pid_mode=settled(host.pid_mode),
        ipc_mode=settled(host.ipc_mode),
    )


def faults(host: HostConfig) -> Iterator[str]:
    """Modes that name nobody."""
    for name, mode in (("network", host.network_mode), ("PID", host.pid_mode), ("IPC", host.ipc_mode)):
        if mode == _PREFIX:
            yield f"invalid {name} mode: invalid container format container:<name|id>"


def joined(container: Container, find: Callable[[str], Container], shm: Callable[[str], Path]) -> Joined:
    """Where the namespaces are now. `shm` says where a shareable container's memory is mounted, by id.

    Raises `Conflict` for a container that does not run, `Invalid` for one that does not share.
    """
    host, namespaces, memory = container.host, list[tuple[str, str]](), ""
    if host.ipc_mode == SHAREABLE:
        memory = str(shm(container.id))
    if ref := other(host.ipc_mode):
        giver = _running(f"can't join IPC of container {ref}", ref, find)
        if giver.host.ipc_mode not in (SHAREABLE, "host"):
            raise Invalid(
                f"can't join IPC of container {giver.id}: "
                "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
            )
        namespaces.append(("ipc", f"/proc/{giver.state.pid}/ns/ipc"))
        memory = SHM if giver.host.ipc_mode == "host" else str(shm(giver.id))
    if ref := other(host.pid_mode):
        giver = _running(f"can't join PID namespace of {ref}", ref, find)
        namespaces.append(("pid", f"/proc/{giver.state.pid}/ns/pid"))
    return Joined(tuple(namespaces), memory)


def _running(prefix: str, ref: str, find: Callable[[str], Container]) -> Container:
    try:
        giver = find(ref)
    except NotFound as error:
        raise Conflict(f"{prefix}: {error.text}") from error
    if not giver.state.alive or not giver.state.pid:
        raise Conflict(f"{prefix}: container {giver.id} is not running")
    return giver
