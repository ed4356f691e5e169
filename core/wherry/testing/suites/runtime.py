"""What every runtime driver must do. Containers run Debian's static busybox, from this host."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from wherry.linux import cgroups
from wherry.model.runtimes import Runtime
from wherry.spec.runtime import RuntimeDriver, Unsupported
from wherry.testing.conformance import Load, Subject, Suite

BUSYBOX = Path("/bin/busybox")
HIDE = 'umount /sys/fs/cgroup/unified; exec "$@"'  # what `hide_unified_cgroup` asks the monitor to do
CAPABILITIES = ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]
PATIENCE = 10.0


@attrs.frozen
class Output:
    """What a command did."""

    status: int
    stdout: str
    stderr: str


class RuntimeSubject(Subject[RuntimeDriver]):
    """A runtime driver, and a bundle to try its program with."""

    def __init__(self, load: Load, folder: Path, stack: ExitStack, options: Mapping[str, Mapping[str, str]]) -> None:
        if not BUSYBOX.exists():
            pytest.skip(f"the checks of runtimes need {BUSYBOX}")
        super().__init__(load, folder, stack, options)
        self.rootfs = folder / "rootfs"
        for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin")
        (self.rootfs / "bin" / "sh").symlink_to("busybox")
        self._group = f"/wherry-kit-{os.getpid()}"
        stack.callback(cgroups.remove_group, self._group)
        stack.callback(self._end_processes)
        stack.callback(lambda: self.command("delete", "--force", "box"))

    def _end_processes(self) -> None:
        """What a driver that does it wrong has left running."""
        end = time.monotonic() + PATIENCE
        while (pids := self._processes()) and time.monotonic() < end:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _processes(self) -> set[int]:
        folders = (top / self._group.strip("/") for top in cgroups.hierarchies())
        return {
            int(pid) for folder in folders for file in folder.rglob("cgroup.procs") for pid in file.read_text().split()
        }

    def config(self, *script: str, **changes: Any) -> dict[str, Any]:
        """A config.json that runs this in busybox's shell; `changes` are of its "process"."""
        process = {
            "cwd": "/", "args": ["/bin/sh", "-c", *script], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
            "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")},
        }  # fmt: skip
        return {
            "ociVersion": "1.0.2",
            "process": {**process, **changes},
            "root": {"path": str(self.rootfs)},
            "hostname": "kit",
            "mounts": [
                {"type": "proc", "source": "proc", "destination": "/proc"},
                {"type": "tmpfs", "source": "tmpfs", "destination": "/dev", "options": ["mode=755"]},
            ],
            "linux": {
                "cgroupsPath": f"{self._group}/box",
                "namespaces": [{"type": each} for each in ("pid", "mount", "uts", "ipc", "network")],
            },
        }

    def argv(self, *words: str) -> list[str]:
        """A command line of the runtime."""
        runtime: Runtime = self.hook.probe()
        argv = [*runtime.argv, "--root", str(self.folder / "state"), *words]
        if runtime.hide_unified_cgroup:
            argv = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", HIDE, "sh", *argv]
        return argv

    def command(self, *words: str) -> Output:
        """Run the runtime's program to its end."""
        # Into files: what a created container inherits must not keep us waiting for the end of a pipe.
        out, errors = self.folder / "stdout", self.folder / "stderr"
        with out.open("wb") as stdout, errors.open("wb") as stderr:
            done = subprocess.run(
                self.argv(*words), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, timeout=30, check=False
            )
        return Output(done.returncode, out.read_text(), errors.read_text())

    def bundle(self, config: Mapping[str, Any]) -> str:
        """The folder with this config.json, as the driver wants it."""
        if self.driver.has("adapt"):
            config = self.hook.adapt(config=config)
        (self.folder / "config.json").write_text(json.dumps(config))
        return str(self.folder)

    def run(self, config: Mapping[str, Any]) -> Output:
        """Run a container to its end."""
        return self.command("run", "--bundle", self.bundle(config), "box")

    def create(self, config: Mapping[str, Any]) -> int:
        """Create a container; the pid of its process, which waits."""
        pid_file = self.folder / "pid"
        done = self.command("create", "--bundle", self.bundle(config), "--pid-file", str(pid_file), "box")
        assert done.status == 0, done.stderr
        return int(pid_file.read_text())

    def state(self) -> str:
        """What the runtime says of the container; "" if it does not know it."""
        done = self.command("state", "box")
        return str(json.loads(done.stdout)["status"]) if done.status == 0 else ""

    def until(self, status: str) -> None:
        """Wait until the container is in this state."""
        end = time.monotonic() + PATIENCE
        while (found := self.state()) != status:
            assert time.monotonic() < end, f"the container is {found or 'gone'}, not {status}"
            time.sleep(0.02)


class RuntimeConformance(Suite):
    """The checks. Subclass this and say DRIVERS."""

    FAMILY = "runtime"
    SPEC = RuntimeDriver
    SUBJECT: ClassVar[type[RuntimeSubject]] = RuntimeSubject

    def test_probe_twice_finds_the_same(self, subject: RuntimeSubject) -> None:
        assert subject.hook.probe() == subject.hook.probe()

    def test_the_program_is_there_and_has_a_version(self, subject: RuntimeSubject) -> None:
        found = subject.hook.probe()
        assert os.access(shutil.which(found.argv[0]) or "", os.X_OK)
        assert found.version

    def test_a_program_that_is_recognized_keeps_its_options(self, subject: RuntimeSubject) -> None:
        if not subject.driver.has("recognize"):
            pytest.skip("the driver recognizes no programs of others")
        program = subject.hook.probe().argv[0]
        found = subject.hook.recognize(argv=(program, "--debug"))
        assert found is not None
        assert found.argv[1:] == ("--debug",)
        with pytest.raises(Unsupported):
            subject.hook.recognize(argv=("/nowhere/runtime",))

    def test_a_container_runs_to_its_end(self, subject: RuntimeSubject) -> None:
        assert subject.run(subject.config("exit 0")).status == 0

    def test_the_exit_status_is_the_programs(self, subject: RuntimeSubject) -> None:
        assert subject.run(subject.config("exit 7")).status == 7

    def test_stdout_and_stderr_are_kept_apart(self, subject: RuntimeSubject) -> None:
        done = subject.run(subject.config("echo out; echo err >&2"))
        assert (done.stdout, done.stderr) == ("out\n", "err\n")

    def test_the_program_has_its_user_folder_and_environment(self, subject: RuntimeSubject) -> None:
        script = "busybox id -u; busybox id -g; pwd; echo $A"
        config = subject.config(script, user={"uid": 33, "gid": 34}, cwd="/tmp", env=["PATH=/bin", "A=1"])
        assert subject.run(config).stdout.split() == ["33", "34", "/tmp", "1"]

    def test_the_program_sees_its_own_root_and_host_name(self, subject: RuntimeSubject) -> None:
        (subject.rootfs / "mark").write_text("mine")
        done = subject.run(subject.config("busybox cat /mark; busybox hostname; echo $$"))
        assert done.stdout == "minekit\n1\n"

    def test_a_read_only_root_cannot_be_written(self, subject: RuntimeSubject) -> None:
        config = subject.config("echo x > /file")
        config["root"]["readonly"] = True
        assert subject.run(config).status != 0
        assert not (subject.rootfs / "file").exists()

    def test_mounts_are_made_in_the_container_alone(self, subject: RuntimeSubject) -> None:
        shared = subject.folder / "shared"
        shared.mkdir()
        (shared / "file").write_text("bound")
        (subject.rootfs / "data").mkdir()
        config = subject.config("busybox cat /data/file; echo x > /data/more")
        config["mounts"].append({"source": str(shared), "destination": "/data", "options": ["rbind", "ro"]})
        done = subject.run(config)
        assert done.stdout == "bound"
        assert done.status != 0
        assert not list((subject.rootfs / "data").iterdir())

    def test_capabilities_are_those_of_the_config(self, subject: RuntimeSubject) -> None:
        wanted = sum(1 << number for number in (0, 5, 6, 7))  # chown, kill, setgid, setuid
        done = subject.run(subject.config("busybox grep CapBnd /proc/self/status"))
        assert int(done.stdout.split()[1], 16) == wanted

    def test_a_created_container_waits_until_it_is_started(self, subject: RuntimeSubject) -> None:
        pid = subject.create(subject.config("echo x > /file; busybox sleep 100"))
        assert subject.state() == "created"
        assert os.path.exists(f"/proc/{pid}")
        assert not (subject.rootfs / "file").exists()
        assert subject.command("start", "box").status == 0
        subject.until("running")

    def test_a_killed_container_is_stopped_and_can_be_deleted(self, subject: RuntimeSubject) -> None:
        pid = subject.create(subject.config("busybox sleep 100"))
        subject.command("start", "box")
        os.kill(pid, signal.SIGKILL)
        subject.until("stopped")
        assert subject.command("delete", "box").status == 0
        assert subject.state() == ""

    def test_delete_by_force_ends_what_runs(self, subject: RuntimeSubject) -> None:
        pid = subject.create(subject.config("busybox sleep 100"))
        subject.command("start", "box")
        assert subject.command("delete", "--force", "box").status == 0
        assert subject.state() == ""
        assert not _alive(pid)

    def test_a_signal_reaches_the_program(self, subject: RuntimeSubject) -> None:
        script = "trap 'echo x > /caught; exit' TERM; echo x > /ready; while :; do busybox sleep 0.05; done"
        subject.create(subject.config(script))
        subject.command("start", "box")
        _until_exists(subject.rootfs / "ready")
        assert subject.command("kill", "box", "TERM").status == 0
        subject.until("stopped")
        assert (subject.rootfs / "caught").exists()

    def test_a_program_that_is_not_there_is_named(self, subject: RuntimeSubject) -> None:
        done = subject.run(subject.config(args=["/bin/nope"]))
        assert done.status != 0
        assert "nope" in done.stderr

    @pytest.mark.hook("adapt")
    def test_adapt_twice_gives_the_same_and_keeps_what_runs(self, subject: RuntimeSubject) -> None:
        config = subject.config("exit 0")
        given = json.dumps(config)
        adapted = subject.hook.adapt(config=config)
        assert json.dumps(config) == given, "the argument was changed"
        assert subject.hook.adapt(config=config) == adapted
        assert json.loads(json.dumps(adapted))["process"]["args"] == config["process"]["args"]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def _until_exists(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not appear"
        time.sleep(0.02)


class TestRuntime(RuntimeConformance):
    """The drivers of the command line."""
