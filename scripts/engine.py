"""An engine of one's own for a demo, a benchmark or a test: a fresh disk, wherryd on it, and nothing left afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.linux import cgroups
from wherry.testing import kernel, tasks
from wherry.testing.ledger import Ledger

ROOT = Path(__file__).resolve().parent.parent
# What an engine calls its own; others on this host have other names.
LINK = re.compile(r"(wbr|wv)[0-9a-f]+ \(of the host\)")
TABLE = re.compile(r"table ip wherry_[0-9a-f]{8}")
CGROUP = re.compile(r"/wherry-[0-9a-f]{8}(/|$)")
READY = 20.0  # seconds in which an engine must answer
ENDED = 30.0  # seconds in which it must be gone after SIGTERM


@dataclass(frozen=True)
class Places:
    """Where an engine of ours keeps what."""

    top: Path
    data: Path
    run: Path
    socket: Path
    pidfile: Path
    log: Path
    audit: Path

    @property
    def host(self) -> str:
        """The address for DOCKER_HOST and WHERRY_HOST."""
        return f"unix://{self.socket}"


def places(top: Path) -> Places:
    """The usual names below one folder."""
    return Places(
        top=top,
        data=top / "data",
        run=top / "run",
        socket=top / "wherry.sock",
        pidfile=top / "wherryd.pid",
        log=top / "wherryd.log",
        audit=top / "outside-a-step",
    )


@contextlib.contextmanager
def workplace(size: str = "3G") -> Iterator[Places]:
    """A temporary folder whose `data` is a fresh ext4 file system: of known speed, and easily thrown away."""
    top = Path(tempfile.mkdtemp(prefix="wherry-"))
    where = places(top)
    where.data.mkdir()
    try:
        image = top / "disk.img"
        subprocess.run(["truncate", "-s", size, image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, where.data], check=True)
        try:
            yield where
        finally:
            unmount_below(top)
    finally:
        shutil.rmtree(top)


def unmount_below(top: Path) -> None:
    """Unmount whatever is mounted below `top`, the innermost first."""
    targets = [target for target, *_ in kernel.mount_table() if Path(target).is_relative_to(top)]
    for target in reversed(targets):
        subprocess.run(["umount", "--lazy", target], check=False, stderr=subprocess.DEVNULL)


class Engine:
    """A running wherryd. What it is told to keep is in `places`."""

    def __init__(
        self,
        where: Places,
        environment: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        *,
        audited: bool = True,
    ) -> None:
        """Start it, behind `prefix` (nsenter or the like) and with more `arguments`, and wait until it answers.

        If `audited`, it reports side effects outside a step, at the price of a call for each of Python's audit events.
        """
        where.audit.touch()
        self.places = where
        self._arguments = arguments
        audit = {"WHERRY_STEP_AUDIT": str(where.audit)} if audited else {}
        begun = time.monotonic()
        with where.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **audit, **(environment or {})},
            )
        try:
            wait_for(where.socket, self._process)
        except RuntimeError as error:
            self.discard()
            raise RuntimeError(f"{error}\n{self.log_tail()}") from error
        except BaseException:
            self.discard()
            raise
        self.started_in = time.monotonic() - begun

    def command(self) -> list[str]:
        """The command line, as a user would type it."""
        where = self.places
        wherryd = str(ROOT / ".venv/bin/wherryd")
        roots = ["--data-root", str(where.data), "--exec-root", str(where.run)]
        return [wherryd, *roots, "-H", where.host, "--pidfile", str(where.pidfile), *self._arguments]

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def stop(self) -> float:
        """End it by SIGTERM; returns the seconds it took. Raises RuntimeError when it does not end or fails."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(ENDED)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"wherryd did not end within {ENDED:g} s of SIGTERM\n{self.log_tail()}") from None
        if status != 0:
            raise RuntimeError(f"wherryd ended with status {status}\n{self.log_tail()}")
        return time.monotonic() - begun

    def kill(self) -> None:
        """End it as a crash would; what it runs goes on."""
        self._process.kill()
        self._process.wait()

    def log_tail(self, lines: int = 40) -> str:
        """The end of what it wrote to its log."""
        return "\n".join(self.places.log.read_text(errors="replace").splitlines()[-lines:])

    def discard(self) -> None:
        """End it and every process that descends from it, whatever their state: for after a failure.

        Whoever calls is a subreaper, so that its orphans are our descendants too.
        """
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        for process in tasks.descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(process.pid, signal.SIGKILL)
                thaw(process.pid)
        self._process.wait(5)


def thaw(pid: int) -> None:
    """Let a process of a paused container take notice of its signals."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if CGROUP.search(group) and controllers in ("freezer", ""):
            cgroups.thaw(group)


def sweep(before: Ledger, after: Ledger) -> None:
    """After a failure: remove links, tables, cgroups and namespaces that appeared meanwhile and bear an engine's name."""
    appeared = {kind: sorted(set(after.kinds[kind]) - set(before.kinds[kind]), reverse=True) for kind in after.kinds}
    commands = [["ip", "link", "del", name.split()[0]] for name in appeared["link"] if LINK.fullmatch(name)]
    commands += [["nft", "delete", *name.split()] for name in appeared["nft"] if TABLE.fullmatch(name)]
    for command in commands:
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    for folder in appeared["cgroup"]:
        if CGROUP.search(folder):
            with contextlib.suppress(OSError):  # not empty: a process of it is still ending
                os.rmdir(folder)


def remove_cgroups(name: str) -> None:
    """Remove a control group in every hierarchy, the deepest first."""
    for group in [Path("/sys/fs/cgroup") / name, *Path("/sys/fs/cgroup").glob(f"*/{name}")]:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)


def answers(path: Path) -> bool:
    """Whether an engine answers GET /_ping on this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
            client.sendall(b"GET /_ping HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")
            return client.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False


def wait_for(path: Path, process: subprocess.Popen[bytes], patience: float = READY) -> None:
    """Return when an engine answers on this socket; RuntimeError when it ends before, or does not in time."""
    end = time.monotonic() + patience
    while not answers(path):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode} before it answered")
        if time.monotonic() > end:
            raise RuntimeError(f"nothing answers on {path} after {patience:g} s")
        time.sleep(0.01)


def free_port(first: int = 8080) -> int:
    """The lowest TCP port from `first` on that nothing on this host uses."""
    for port in range(first, 65536):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port from {first} on is free")
