"""A container without an engine: a bundle on tmpfs, run by a runtime driver's program to its end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from wherry.linux import cgroups
from wherry.linux.users import User
from wherry.model.configs import Config, HostConfig
from wherry.model.containers import Container
from wherry.model.runtimes import Runtime
from wherry.spec.base import Context
from wherry.spec.runtime import RuntimeDriver
from wherry_engine.engine.bundle import BundleInput, BundleMount, oci_config
from wherry_engine.loader.load import Driver, load_driver

APPLETS = (
    "sh",
    "cat",
    "grep",
    "hostname",
    "id",
    "env",
    "ls",
    "mount",
    "touch",
    "unshare",
    "true",
    "df",
    "test",
    "readlink",
)
ROOT = User(0, 0, (0,), "/root")
HIDE = 'umount /sys/fs/cgroup/unified; exec "$@"'


@attrs.frozen
class Output:
    """What a container did."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def lines(self) -> list[str]:
        """What it printed."""
        return self.stdout.decode().splitlines()


class Box:
    """A folder with a root file system of busybox."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rootfs = folder, folder / "rootfs"
        for name in ("bin", "proc", "sys", "dev", "etc", "tmp"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.rootfs / "bin/busybox")
        for name in APPLETS:
            os.symlink("busybox", self.rootfs / "bin" / name)
        self.group = f"/wherry-test-{os.getpid()}"

    def config(
        self,
        *command: str,
        host: HostConfig | None = None,
        config: Config | None = None,
        user: User = ROOT,
        mounts: tuple[BundleMount, ...] = (),
    ) -> dict[str, Any]:
        """The bundle's config.json for a container on the host's network."""
        container = Container(
            id="c" * 64, name="box", created_ns=0, config=config or Config(), host=host or HostConfig(),
            image_id="", storage_driver="", log_driver="", runtime="", path=command[0], args=command[1:],
        )  # fmt: skip
        return oci_config(
            BundleInput(
                container=container, rootfs=self.rootfs, user=user, netns=None, mounts=mounts,
                cgroups_path=f"{self.group}/box", hostname="box", cgroup_version=cgroups.version(),
            )
        )  # fmt: skip

    def run(self, driver: Driver[RuntimeDriver], config: Mapping[str, Any]) -> Output:
        """Run the bundle to its end."""
        if driver.has("adapt"):
            config = driver.hook.adapt(config=config)
        (self.folder / "config.json").write_text(json.dumps(config))
        argv = self.argv(driver.hook.probe(), "run", "--bundle", str(self.folder), "box")
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        return Output(done.returncode, done.stdout, done.stderr.decode())

    def argv(self, runtime: Runtime, *command: str) -> list[str]:
        """A command line of the runtime."""
        argv = [*runtime.argv, "--root", str(self.folder / "state"), *command]
        if runtime.hide_unified_cgroup:
            argv = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", HIDE, "sh", *argv]
        return argv


@pytest.fixture
def box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="wherry-test-") as folder:
        made = Box(Path(folder))
        try:
            yield made
        finally:
            cgroups.remove_group(made.group)


@pytest.fixture(params=["crun", "runc"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver[RuntimeDriver]:
    return load(request.param, tmp_path)


@pytest.fixture
def crun(tmp_path: Path) -> Driver[RuntimeDriver]:
    return load("crun", tmp_path)


def load(name: str, root: Path) -> Driver[RuntimeDriver]:
    """One runtime driver, through its entry point."""

    def place(config: Any) -> Context:
        return Context(root, root, "t", config)

    return load_driver(RuntimeDriver, name, place)
