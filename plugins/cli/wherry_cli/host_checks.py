"""What Wherry needs of a host: one function a need. All only look; nothing is changed, loaded or started."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from wherry.linux import cgroups
from wherry.linux.mountinfo import mounts
from wherry.linux.programs import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[["Host"], Iterator["Finding"]]

GOOD, WARNING, BAD = "ok", "warning", "missing"
KERNEL = (6, 1)
FREE = 2 << 30  # bytes that images soon need
DESCRIPTORS = 65536  # four a container, and one a published port
LIMITS = ("cpu", "cpuset", "freezer", "memory", "pids")
# File systems on which overlay's upper layers cannot lie, or that lose what a crash interrupts.
UNFIT = frozenset(["9p", "cifs", "fuse", "nfs", "nfs4", "overlay", "ramfs", "smb3", "squashfs", "vfat"])


class Finding:
    """What one check found; `mend` is a command or a sentence that says what to do."""

    __slots__ = ("mend", "state", "text", "topic")

    def __init__(self, state: str, topic: str, text: str, mend: str = "") -> None:
        self.state = state
        self.topic = topic
        self.text = text
        self.mend = mend


class Host:
    """Where to look; tests look elsewhere."""

    def __init__(self, data_root: Path, root: Path = Path("/")) -> None:
        self.data_root = data_root
        self.root = root

    def read(self, path: str) -> str:
        """A small file's text; "" if it cannot be read."""
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return ""


def kernel(host: Host) -> Iterator[Finding]:
    """Its version, and the parts that are modules on most hosts."""
    release = os.uname().release
    numbers = tuple(int("".join(filter(str.isdigit, part)) or "0") for part in release.split("-")[0].split(".")[:2])
    wanted = ".".join(map(str, KERNEL))
    if numbers >= KERNEL:
        yield Finding(GOOD, "kernel", f"Linux {release}")
    else:
        yield Finding(
            WARNING, "kernel", f"Linux {release} is older than {wanted}, the oldest tested", "Upgrade the kernel."
        )
    known = {line.split()[-1] for line in host.read("proc/filesystems").splitlines() if line}
    loadable = f"lib/modules/{release}/kernel"
    if "overlay" in known:
        yield Finding(GOOD, "overlay", "the kernel has the overlay file system")
    elif any((host.root / loadable / "fs/overlayfs").glob("overlay.ko*")):
        yield Finding(WARNING, "overlay", "the overlay file system is not loaded", "modprobe overlay")
    else:
        yield Finding(
            BAD, "overlay", "the kernel has no overlay file system", "Use another kernel, or the storage driver vfs."
        )
    if "errno" in host.read("proc/sys/kernel/seccomp/actions_avail"):
        yield Finding(GOOD, "seccomp", "the kernel filters system calls")
    else:
        yield Finding(
            BAD, "seccomp", "the kernel does not filter system calls", "Use a kernel with CONFIG_SECCOMP_FILTER."
        )


def control_groups(host: Host) -> Iterator[Finding]:
    """The controllers that limits need."""
    top = host.root / "sys/fs/cgroup"
    version, have = cgroups.version(top), cgroups.controllers(top) if top.is_dir() else frozenset()
    missing = [name for name in LIMITS if name not in have and not (version == 2 and name == "freezer")]
    if not missing:
        yield Finding(GOOD, "cgroups", f"version {version}, with every controller that limits need")
    elif "memory" in missing:
        yield Finding(
            WARNING, "cgroups", f"version {version} without {', '.join(missing)}: containers cannot be limited so",
            "Add cgroup_enable=memory swapaccount=1 to the kernel's command line and reboot.",
        )  # fmt: skip
    else:
        yield Finding(
            WARNING, "cgroups", f"version {version} without {', '.join(missing)}", "Use a kernel that has them."
        )


def programs(host: Host) -> Iterator[Finding]:
    """The OCI runtimes, and the library that writes firewall rules."""
    runtimes = {name: path for name in ("crun", "runc") if (path := find(name))}
    if runtimes:
        yield Finding(GOOD, "runtime", ", ".join(runtimes.values()))
    else:
        yield Finding(BAD, "runtime", "there is neither crun nor runc", "apt-get install crun runc")
    if "crun" not in runtimes and runtimes:
        yield Finding(
            WARNING, "runtime", "without crun containers start two to four times as slowly", "apt-get install crun"
        )
    folders = ("usr/lib", "usr/lib64", "lib", "lib64", "usr/local/lib")
    if any(glob(str(host.root / folder / pattern / "libnftables.so.1")) for folder in folders for pattern in ("", "*")):
        yield Finding(GOOD, "nftables", "libnftables is installed")
    else:
        yield Finding(
            BAD, "nftables", "libnftables is not installed: the bridge driver needs it", "apt-get install libnftables1"
        )


def disk(host: Host) -> Iterator[Finding]:
    """What the data root lies on."""
    folder = host.data_root
    while not folder.exists():
        folder = folder.parent
    under = max((info for info in mounts() if folder.is_relative_to(info.target)), key=lambda info: len(info.target))
    if under.kind.split(".")[0] in UNFIT:
        mend = "Put the data root on ext4, xfs or btrfs (--data-root), or use the storage driver vfs."
        yield Finding(BAD, "data root", f"{host.data_root} lies on {under.kind}, which cannot carry layers", mend)
    elif under.kind == "tmpfs":
        yield Finding(
            WARNING,
            "data root",
            f"{host.data_root} lies on tmpfs: all is lost at a reboot",
            "Choose another --data-root.",
        )
    else:
        yield Finding(GOOD, "data root", f"{host.data_root} lies on {under.kind}")
    free = shutil.disk_usage(folder).free
    if free < FREE:
        text = f"{free >> 20} MiB are free for {host.data_root}"
        yield Finding(WARNING, "disk", text, "wherry system prune")
    else:
        yield Finding(GOOD, "disk", f"{free >> 30} GiB are free for {host.data_root}")


def limits(host: Host) -> Iterator[Finding]:
    """Of processes and descriptors, as this shell has them: a service has its own."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS:
        yield Finding(GOOD, "descriptors", f"up to {hard} a process" if hard > 0 else "without limit")
    else:
        mend = f"LimitNOFILE={DESCRIPTORS} in wherryd's unit, or ulimit -n {DESCRIPTORS} before it starts"
        yield Finding(WARNING, "descriptors", f"only {hard} a process: enough for {hard // 5} containers", mend)


def network(host: Host) -> Iterator[Finding]:
    """What concerns packets of containers."""
    if host.read("proc/sys/net/ipv4/ip_forward") == "1":
        yield Finding(GOOD, "forwarding", "IPv4 forwarding is on")
    else:
        yield Finding(GOOD, "forwarding", "IPv4 forwarding is off; wherryd turns it on when a bridge needs it")
    if host.read("proc/sys/net/bridge/bridge-nf-call-iptables") == "1":
        yield Finding(
            WARNING, "br_netfilter", "packets between containers of one network pass the host's iptables rules as well",
            "sysctl net.bridge.bridge-nf-call-iptables=0, unless something else needs it",
        )  # fmt: skip


CHECKS: tuple[Check, ...] = (kernel, control_groups, programs, disk, limits, network)
