"""An exec is held by the filter of its container: what is refused to one is refused to the other, and with the same error."""

from __future__ import annotations

import json
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from tests.plugins.runtime.conftest import Box
from tests.plugins.runtime.test_seccomp_calls import Call, program, refused

from wherry.linux.seccomp.numbers import tables
from wherry.linux.users import User
from wherry.model.configs import Config, HostConfig
from wherry.model.containers import Container
from wherry.model.execs import ExecSpec
from wherry.spec.runtime import RuntimeDriver
from wherry_engine.engine.bundle_process import exec_process
from wherry_engine.loader.load import Driver

pytestmark = pytest.mark.root
ROOT = User(0, 0, (0,), "/root")
RULE = {"names": ["times"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}
OWN = json.dumps(
    {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [RULE]}
)
PROBES = ("unshare", "keyctl", "add_key", "io_uring_setup", "setns", "uname", "clone3", "mount", "bpf", "ptrace")


class Inside:
    """A running container, and execs in it."""

    def __init__(self, box: Box, driver: Driver[RuntimeDriver], host: HostConfig) -> None:
        self._box, self._runtime = box, driver.hook.probe()
        self._container = Container(
            id="c" * 64, name="box", created_ns=0, config=Config(), host=host, image_id="", storage_driver="",
            log_driver="", runtime="", path="",
        )  # fmt: skip

    def execute(self, *command: str, privileged: bool = False) -> bytes:
        """What the program prints."""
        spec = ExecSpec(command=command, privileged=privileged)
        file = self._box.folder / "process.json"
        file.write_text(json.dumps(exec_process(self._container, spec, ROOT)))
        argv = [*self._runtime.argv, "--root", str(self._box.folder / "state"), "exec", "--process", str(file), "box"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def running(
    box: Box, driver: Driver[RuntimeDriver], host: HostConfig, calls: list[Call]
) -> Iterator[tuple[list[int], Inside]]:
    """What the calls return to the container's own process, and the container, which goes on running."""
    path = box.rootfs / "bin/calls"
    path.write_bytes(program(calls))
    path.chmod(0o755)
    config: Mapping[str, Any] = box.config("sh", "-c", "/bin/calls; exec /bin/busybox sleep 60", host=host)
    if driver.has("adapt"):
        config = driver.hook.adapt(config=config)
    (box.folder / "config.json").write_text(json.dumps(config))
    runtime = driver.hook.probe()
    printed = box.folder / "printed"
    with printed.open("wb") as out:
        argv = box.argv(runtime, "run", "--detach", "--bundle", str(box.folder), "box")
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, timeout=30, check=True)
    try:
        end = time.monotonic() + 10
        while printed.stat().st_size < 8 * len(calls) and time.monotonic() < end:
            time.sleep(0.01)
        yield list(struct.unpack(f"<{len(calls)}q", printed.read_bytes())), Inside(box, driver, host)
    finally:
        subprocess.run(box.argv(runtime, "delete", "--force", "box"), timeout=30, check=True)


@pytest.mark.parametrize(
    "host",
    [
        HostConfig(),
        HostConfig(cap_add=("SYS_ADMIN",)),
        HostConfig(security_opt=(f"seccomp={OWN}",)),
        HostConfig(security_opt=("seccomp=unconfined",)),
        HostConfig(privileged=True),
    ],
    ids=["default", "with-sys-admin", "own-profile", "unconfined", "privileged"],
)
def test_each_call_returns_the_same_in_a_run_and_in_an_exec(
    driver: Driver[RuntimeDriver], box: Box, host: HostConfig
) -> None:
    native, old = tables()["SCMP_ARCH_X86_64"], tables()["SCMP_ARCH_X86"]
    calls = [Call(native[name]) for name in PROBES]
    calls += [
        Call(native["unshare"], 0x10000000),
        Call(native["socket"], 40, 1),
        Call(1000),
        Call(470),
        Call(native["times"], 0),
    ]
    calls += [Call(old[name], old=True) for name in ("keyctl", "add_key", "socketcall")]
    with running(box, driver, host, calls) as (first, inside):
        again = list(struct.unpack(f"<{len(calls)}q", inside.execute("/bin/calls")))
        status = inside.execute("/bin/busybox", "grep", "Seccomp:", "/proc/self/status")
    assert [min(result, 0) for result in again] == [min(result, 0) for result in first]
    assert status.split()[1] == (b"0" if host.privileged or "seccomp=unconfined" in (host.security_opt or ()) else b"2")


def test_all_that_the_default_filter_refuses_is_refused_to_an_exec_even_a_privileged_one(
    driver: Driver[RuntimeDriver], box: Box
) -> None:
    calls = [Call(number) for number in refused("SCMP_ARCH_X86_64")]
    with running(box, driver, HostConfig(), calls) as (first, inside):
        plain, privileged = (inside.execute("/bin/calls", privileged=value) for value in (False, True))
    assert set(first) <= {-1, -38}
    assert list(struct.unpack(f"<{len(calls)}q", plain)) == first
    assert list(struct.unpack(f"<{len(calls)}q", privileged)) == first


def test_no_new_privileges_holds_in_an_exec(driver: Driver[RuntimeDriver], box: Box) -> None:
    host = HostConfig(security_opt=("no-new-privileges",))
    with running(box, driver, host, [Call(39)]) as (_, inside):
        assert inside.execute("/bin/busybox", "grep", "NoNewPrivs:", "/proc/self/status").split()[1] == b"1"


def test_a_privileged_exec_has_every_capability_and_another_those_of_its_container(
    driver: Driver[RuntimeDriver], box: Box
) -> None:
    def effective(inside: Inside, *, privileged: bool) -> int:
        text = inside.execute("/bin/busybox", "grep", "CapEff:", "/proc/self/status", privileged=privileged)
        return int(text.split()[1], 16)

    with running(box, driver, HostConfig(cap_drop=("ALL",), cap_add=("CHOWN",)), [Call(39)]) as (_, inside):
        assert effective(inside, privileged=False) == 1
        with open("/proc/self/status") as file:
            own = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
        assert effective(inside, privileged=True) == own
