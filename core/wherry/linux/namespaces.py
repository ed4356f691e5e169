"""Network namespaces: kept alive by a mount on a path, visited by the calling thread.

unshare(2) and setns(2) change the calling thread alone, which returns when its work there is done: a thread made for
each visit would cost more than most visits. No thread ever goes on in a namespace that is not its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from wherry.linux import netlink
from wherry.linux.steps import effect
from wherry.linux.syscalls import call

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MNT_DETACH = 2
_NS_GET_NSTYPE = 0xB703


def create_netns(path: Path, *, sysctls: Mapping[str, str] | None = None) -> None:
    """Make a network namespace that lives until `remove_netns`, with its loopback up. Its folder is made too.

    `sysctls` ("ipv4/conf/default/arp_notify": "1", below net) are set in it; those that this kernel lacks are left out.
    """
    if is_netns(path):
        return

    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o444)
    with _returning():
        effect("unshare", str(path))
        call("unshare", CLONE_NEWNET)
        for name, value in (sysctls or {}).items():
            set_sysctl(f"net/{name}", value)
        netlink.execute(netlink.set_link(1, up=True))  # the loopback is always 1
        effect("mount", str(path))
        call("mount", f"/proc/self/task/{threading.get_native_id()}/ns/net", path, b"none", _MS_BIND, None)


def remove_netns(path: Path) -> None:
    """Let go of it: the kernel ends it once no process is in it and no descriptor refers to it."""
    while is_netns(path):
        effect("umount", str(path))
        call("umount2", path, _MNT_DETACH)
    path.unlink(missing_ok=True)


def is_netns(path: Path) -> bool:
    """Whether a network namespace is mounted on `path`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and fcntl.ioctl(fd, _NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError as error:
        if error.errno == errno.ENOTTY:  # a plain file
            return False
        raise
    finally:
        os.close(fd)


def in_netns(fd: int, function: Callable[[], T]) -> T:
    """The result of `function`, called in the network namespace behind `fd`; its errors are raised here."""
    with _returning():
        call("setns", fd, CLONE_NEWNET)
        return function()


@contextmanager
def visited_netns(fd: int, home: int) -> Iterator[None]:
    """The body runs in the network namespace behind `fd`; this thread then returns to the one behind `home`.

    As `in_netns`, for whoever visits so often that it keeps `home` open.
    """
    call("setns", fd, CLONE_NEWNET)
    try:
        yield
    finally:
        _return(home)


@contextmanager
def _returning() -> Iterator[None]:
    """The body may change this thread's network namespace; it returns to the one that it was in."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            yield
        finally:
            _return(home)
    finally:
        os.close(home)


def _return(home: int) -> None:
    """Go back; a process whose thread cannot ends, since whatever came next would happen to a container."""
    try:
        call("setns", home, CLONE_NEWNET)
    except OSError:
        os.abort()


def set_sysctl(name: str, value: str) -> None:
    """Set a kernel setting like net/ipv4/ip_forward in this thread's namespaces; one that this kernel lacks is left out.

    Slashes, since an interface's name may have dots in it.
    """
    path = Path("/proc/sys", name)
    try:
        if path.read_text().strip() == value:
            return
        effect("sysctl", name, value)
        path.write_text(value)
    except FileNotFoundError:
        return
