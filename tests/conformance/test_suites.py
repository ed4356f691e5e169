"""The suites themselves: each check lets a good driver pass and fails for one that does what the check is about wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import broken_logs, broken_networks, broken_runtimes, broken_storage, broken_volumes

from wherry.errors import WherryError
from wherry.testing.conformance import Suite, in_memory
from wherry.testing.suites.log import LogConformance
from wherry.testing.suites.network import NetworkConformance
from wherry.testing.suites.runtime import RuntimeConformance
from wherry.testing.suites.storage import StorageConformance
from wherry.testing.suites.volume import VolumeConformance
from wherry_network.bridge import Driver as Bridge

pytestmark = pytest.mark.root
SUITES: dict[type[Suite], dict[str, type[Any]]] = {
    StorageConformance: broken_storage.BROKEN,
    NetworkConformance: broken_networks.BROKEN,
    VolumeConformance: broken_volumes.BROKEN,
    LogConformance: broken_logs.BROKEN,
    RuntimeConformance: broken_runtimes.BROKEN,
}
GOOD: dict[type[Suite], type[Any]] = {
    StorageConformance: broken_storage.Telling,
    NetworkConformance: Bridge,
    VolumeConformance: broken_volumes.Folders,
    LogConformance: broken_logs.Shipping,
    RuntimeConformance: broken_runtimes.Scripted,
}
CASES = [(suite, check) for suite, broken in SUITES.items() for check in broken]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def checked(suite: type[Suite], check: str, cls: type[Any], folder: Path, stack: ExitStack) -> None:
    subject = suite.SUBJECT(in_memory(suite.SPEC, cls), folder, stack, {})
    getattr(suite(), check)(subject)


def ids(value: object) -> str:
    return value.FAMILY if isinstance(value, type) and issubclass(value, Suite) else str(value)


@pytest.mark.parametrize(("suite", "check"), CASES, ids=ids)
def test_a_good_driver_passes(suite: type[Suite], check: str, tmp_path: Path, stack: ExitStack) -> None:
    checked(suite, check, GOOD[suite], tmp_path, stack)


@pytest.mark.parametrize(("suite", "check"), CASES, ids=ids)
def test_a_driver_that_does_it_wrong_fails(suite: type[Suite], check: str, tmp_path: Path, stack: ExitStack) -> None:
    try:
        checked(suite, check, SUITES[suite][check], tmp_path, stack)
    except pytest.skip.Exception:
        pytest.fail("the check skipped")
    except (AssertionError, WherryError, OSError, pytest.fail.Exception):
        return
    pytest.fail("the check passed")


@pytest.mark.parametrize("suite", SUITES, ids=ids)
def test_every_check_is_proved_to_fail_and_there_are_enough(suite: type[Suite]) -> None:
    checks = {name for name in vars(suite) if name.startswith("test_")}
    assert checks == set(SUITES[suite])
    assert len(checks) >= 12


def test_a_suite_is_run_by_its_name_over_an_installed_driver(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "wherry.testing.suites.log"]
    done = subprocess.run([*command, "--driver", "json-file"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "15 passed, 2 skipped" in done.stdout
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "name the log driver to check: --driver NAME" in done.stdout + done.stderr
