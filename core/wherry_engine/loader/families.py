"""The driver families that this engine knows, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from wherry.spec.base import DriverSpec
from wherry.spec.log import LogDriver
from wherry.spec.network import NetworkDriver
from wherry.spec.runtime import RuntimeDriver
from wherry.spec.storage import StorageDriver
from wherry.spec.volume import VolumeDriver

FAMILIES: Mapping[str, type[DriverSpec]] = MappingProxyType(
    {spec.FAMILY: spec for spec in (StorageDriver, NetworkDriver, VolumeDriver, LogDriver, RuntimeDriver)}
)
