"""Processes: what a supervisor needs to start, name, watch and reap them. See prctl(2), pidfd_open(2), namespaces(7)."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from wherry.linux.steps import effect
from wherry.linux.syscalls import call

PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
CLONE_FS, CLONE_NEWNS = 0x200, 0x20000
MS_REC, MS_SLAVE = 0x4000, 0x80000
MNT_DETACH = 2
_M_ARENA_MAX = -8
SPLICE_F_NONBLOCK = 2
PIDFD_GET_INFO, PIDFD_INFO_EXIT = 0xC040FF0B, 1 << 3

DEFAULT_SIGNALS = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
UNKNOWN_STATUS = 255


def set_title(title: str) -> None:
    """Name this process (15 characters) as `ps` and `top` show it."""
    call("prctl", PR_SET_NAME, title.encode(), 0, 0, 0)


def title_of(pid: int) -> str:
    """The name of a process, empty if there is none."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def become_subreaper() -> None:
    """From now on orphans below this process become its children."""
    call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """SIGKILL this process when `parent`, which forked it, ends; exits at once if that has happened already."""
    call("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def set_oom_score(adjustment: int) -> bool:
    """Make the kernel's OOM killer prefer (positive) or avoid (negative) this process. False if that is not allowed."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(adjustment))
    except PermissionError:  # lowering it needs CAP_SYS_RESOURCE
        return False
    return True


def reset_signals() -> None:
    """Give every signal its default action, but for the two that Python turns into errors (EPIPE, EFBIG)."""
    for number in DEFAULT_SIGNALS:
        action = signal.SIG_IGN if number in (signal.SIGPIPE, signal.SIGXFSZ) else signal.SIG_DFL
        with suppress(OSError, ValueError):
            signal.signal(number, action)


def status_of(code: int) -> int:
    """The exit status of a wait(2) status word as shells give it: 0-255, or 128 + the signal's number."""
    return 128 + (code & 127) if code & 127 else (code >> 8) & 255


def foreign_status(pid: int, pidfd: int) -> int | None:
    """The exit status of a dead process that is not our child, or None if the kernel no longer tells it.

    Asked of the pidfd (Linux 6.15), or of /proc as long as the process is a zombie.
    """
    for _ in range(50):
        fields = _stat(pid)  # first: it may be reaped at any moment, and from then on the pidfd tells
        info = array.array("Q", [PIDFD_INFO_EXIT] + [0] * 7)  # struct pidfd_info
        with suppress(OSError):
            fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
            if info[0] & PIDFD_INFO_EXIT:
                return status_of(array.array("i", info.tobytes())[15])
        if fields is None or len(fields) < 50:
            return None
        if fields[0] == "Z":
            return status_of(int(fields[49]))
        time.sleep(0.002)
    return None


def _stat(pid: int | str) -> list[str] | None:
    """The fields of /proc/PID/stat that follow the name; None if there is no such process (or thread, PID/task/TID)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def parent_of(pid: int) -> int:
    """The pid of the parent, 0 if there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def kin_of(pid: int) -> tuple[int, int] | None:
    """The pids of the parent and of the session's first process, None if there is no such process."""
    fields = _stat(pid)
    return (int(fields[1]), int(fields[3])) if fields else None


def open_files(pid: int) -> set[str]:
    """What its descriptors lead to, as /proc names it; nothing if it is gone. Raises PermissionError."""
    found: set[str] = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError, ProcessLookupError):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def is_stopped(pid: int) -> bool:
    """Whether no thread of a process runs, or will before SIGCONT: it is stopped as a whole, or is gone."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return True
    fields = [_stat(f"{pid}/task/{task}") for task in tasks]
    return all(each is None or each[0] in "TtZX" for each in fields)


def children() -> list[int]:
    """The children of this (single-threaded) process, zombies included."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def program_of(pid: int) -> str:
    """The path of the program that a process executes, empty for a zombie or a process that is gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor from 3 up but these: a stray copy of a pipe's write end would swallow its end."""
    low = 3
    for fd in sorted({fd for fd in keep if fd >= 3}):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1 << 20)


def tee(source: int, target: int, count: int) -> int:
    """Copy up to `count` bytes from pipe to pipe and leave them in the first, without blocking; 0 at the end. See tee(2)."""
    return call("tee", source, target, count, SPLICE_F_NONBLOCK)


@contextmanager
def without_mount(target: str, home: int) -> Iterator[None]:
    """This thread lives in a private mount namespace without what is mounted on `target`, and returns to `home` after.

    `home` is a descriptor of the mount namespace of this process. What the thread starts in the body stays there.
    Slave propagation keeps the unmount from the host, and lets later unmounts of the host through.
    """
    effect("unshare", "mount", target)
    call("unshare", CLONE_NEWNS | CLONE_FS)
    try:
        call("mount", "none", "/", None, MS_SLAVE | MS_REC, None)
        call("umount2", target, MNT_DETACH)
        yield
    finally:
        call("setns", home, CLONE_NEWNS)


def share_one_heap() -> None:
    """Give all threads started from now on the C library's first heap, where each else gets one of its own: mallopt(3).

    Our threads run one at a time anyway, and what stays behind in fifty heaps is 4 MiB after a few hundred containers.
    """
    call("mallopt", _M_ARENA_MAX, 1)


def cgroup_touch() -> Callable[[], None]:
    """A function that moves this process from its cgroup to the same cgroup: no change, but the kernel takes its lock.

    The first write to any cgroup.procs after about 15 ms without one waits for an RCU grace period, 6-16 ms; the next
    take 0.01-0.04 ms.
    """
    path = f"{_own_cgroup()}/cgroup.procs"

    def touch() -> None:
        effect("cgroup", os.getpid())
        with open(path, "wb", buffering=0) as file:
            file.write(b"0")  # the writer itself

    return touch


def _own_cgroup() -> str:
    """The folder of this process's cgroup in the first hierarchy whose mount shows it."""
    with open("/proc/self/cgroup") as file:
        paths = {line.split(":", 2)[1].partition(",")[0]: line.rstrip("\n").split(":", 2)[2] for line in file}
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields = line.split()
            after = fields.index("-")
            if fields[after + 1] not in ("cgroup", "cgroup2") or fields[3] != "/":
                continue
            names = fields[after + 3].split(",") if fields[after + 1] == "cgroup" else [""]
            for name in names:
                if name in paths:
                    return fields[4] + paths[name].rstrip("/")
    raise FileNotFoundError("no cgroup file system is mounted")
