"""Containers as callers ask for them and as the engine records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from wherry.model.configs import Config, HostConfig
from wherry.model.networks import EndpointRecord, EndpointSpec, PortMapping

HealthStatus = Literal["starting", "healthy", "unhealthy"]
Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


@attrs.frozen(kw_only=True)
class ContainerSpec:
    """What a caller asks for. An empty name lets the engine choose one. `endpoints` are by network name or id."""

    name: str = ""
    config: Config
    host: HostConfig = HostConfig()
    endpoints: Mapping[str, EndpointSpec] = attrs.field(factory=dict)
    platform: str = ""


@attrs.frozen(kw_only=True)
class MountPoint:
    """One volume or bind of a container. `source` is the path on the host that is bound to `destination`."""

    type: Literal["bind", "volume", "tmpfs"]
    destination: str
    source: str = ""
    name: str = ""  # of the volume
    driver: str = ""
    mode: str = ""
    writable: bool = True
    propagation: str = ""
    subpath: str = ""
    anonymous: bool = False  # removed with the container
    no_copy: bool = False


@attrs.frozen(kw_only=True)
class HealthResult:
    """What one probe said. Times in ns since the epoch; the exit code -1 is one that took too long or could not begin."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str


@attrs.frozen(kw_only=True)
class Health:
    """Whether the container is well, by its health check; the latest results, oldest first."""

    status: HealthStatus = "starting"
    failing_streak: int = 0
    log: tuple[HealthResult, ...] = ()


@attrs.frozen(kw_only=True)
class State:
    """What a container is doing. Times in ns since the epoch, 0 is never."""

    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    health: Health | None = None  # of a container that has a check and was started

    @property
    def running(self) -> bool:
        """Docker counts a paused or restarting container as running."""
        return self.status in ("running", "paused", "restarting")

    @property
    def alive(self) -> bool:
        """Whether there is a process, and what it needs on the host."""
        return self.status in ("running", "paused")


@attrs.frozen(kw_only=True)
class Container:
    """One container, as recorded: an immutable snapshot. A change makes a new one."""

    id: str
    name: str
    created_ns: int
    config: Config  # merged with the image's
    host: HostConfig
    image_id: str
    storage_driver: str
    log_driver: str
    runtime: str
    path: str  # what runs: the first of entrypoint and command
    args: tuple[str, ...] = ()
    state: State = State()
    parts: Mapping[str, str] = attrs.field(factory=dict)  # where its files lie, as the storage driver says
    mounts: tuple[MountPoint, ...] = ()
    networks: Mapping[str, EndpointRecord] = attrs.field(factory=dict)  # by network name
    ports: tuple[PortMapping, ...] = ()  # what is published now
    restart_count: int = 0
    manually_stopped: bool = False

    @property
    def running(self) -> bool:
        """Whether it has a process, or will have one again without being asked."""
        return self.state.running


@attrs.frozen(kw_only=True)
class Created:
    """The answer to a creation."""

    id: str
    warnings: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ExitResult:
    """How a container ended. `error` is set where the exit code could not be known or the start failed."""

    exit_code: int
    error: str = ""


@attrs.frozen(kw_only=True)
class PrunedContainers:
    """What a prune removed: ids, and the bytes that are free again."""

    removed: tuple[str, ...]
    space: int
