"""Every built-in driver passes its family's suite, through its entry point."""

from __future__ import annotations

import pytest

from wherry.testing.suites.log import LogConformance
from wherry.testing.suites.network import NetworkConformance
from wherry.testing.suites.runtime import RuntimeConformance
from wherry.testing.suites.storage import StorageConformance
from wherry.testing.suites.volume import VolumeConformance

pytestmark = pytest.mark.root


class TestStorage(StorageConformance):
    DRIVERS = ("overlay2", "vfs")


class TestNetwork(NetworkConformance):
    DRIVERS = ("bridge", "host", "none")


class TestVolume(VolumeConformance):
    DRIVERS = ("local",)


class TestLog(LogConformance):
    DRIVERS = ("json-file", "local", "none")


class TestRuntime(RuntimeConformance):
    DRIVERS = ("crun", "runc")
