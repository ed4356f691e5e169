"""Processes and what they hold: descendants, descriptors, ports. Probes as in `kernel`."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from wherry.linux import syscalls
from wherry.testing.kernel import Found, numbered

# The number of pidfd_getfd(2) is the same on all architectures, as that of every system call from 424 on.
PIDFD_GETFD = 438
TCP_CLOSE = 7  # the first byte of tcp_info is the state (linux/tcp.h)


class Process:
    """One process, as /proc/PID/stat tells."""

    def __init__(self, pid: int) -> None:
        """Raises FileNotFoundError or ProcessLookupError when it is gone."""
        head, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
        fields = rest.split()
        self.pid, self.name = pid, head.partition("(")[2]
        self.state, self.parent, self.started = fields[0], int(fields[1]), int(fields[19])


def every_process() -> dict[int, Process]:
    """All processes by pid."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found[int(name)] = Process(int(name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def descendants(of: int) -> list[Process]:
    """The processes that descend from `of`. Orphans count when `of` is a subreaper: then they are its children."""
    table = every_process()
    family, result = {of}, []
    # A child can have a lower pid than its parent after pids have wrapped around: go on until nothing is added.
    while added := [process for pid, process in table.items() if process.parent in family and pid not in family]:
        family.update(process.pid for process in added)
        result.extend(added)
    return sorted(result, key=lambda process: process.pid)


def processes(of: int) -> Found:
    """The descendants of `of`."""
    table = descendants(of)
    names = {process.pid: process.name for process in table}
    return {
        f"{process.pid} {process.name}, started at tick {process.started}": (
            f"child of {process.parent} ({names.get(process.parent, 'this one')})"
            + (", a zombie" if process.state == "Z" else "")
        )
        for process in table
    }


def descriptors(pids: Iterable[int]) -> Found:
    """The open descriptors of these processes: files by path, sockets, pipes and the like by their number."""
    found: Found = {}
    for pid in pids:
        try:
            process = Process(pid)
            targets = _descriptor_targets(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        for target in numbered(target.partition(":[")[0] for target in targets):
            found[f"{target} of process {pid} ({process.name})"] = ""
    return found


def _descriptor_targets(pid: int) -> list[str]:
    targets = []
    for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if target != f"/proc/{pid}/fd":  # the one that lists them
            targets.append(target)
    return targets


def ports(of: int) -> Found:
    """Listening TCP and bound UDP ports of our network namespace, and TCP ports that `of` and its descendants hold bound."""
    names: list[str] = []
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        wanted = "0A" if protocol.startswith("tcp") else "07"  # LISTEN; a UDP socket without a peer
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == wanted:
                names.append(f"{protocol} {_address(fields[1])}")
    # A TCP socket that is bound and does not listen is in no file of /proc/net: it has to be asked itself.
    for pid in [of, *(process.pid for process in descendants(of))]:
        names.extend(_held_ports(pid))
    return dict.fromkeys(names, "")


def _address(text: str) -> str:
    raw, _, port = text.partition(":")
    words = [struct.pack("=I", int(raw[start : start + 8], 16)) for start in range(0, len(raw), 8)]
    host = socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))
    return f"{host}:{int(port, 16)}"


def _held_ports(pid: int) -> list[str]:
    """The TCP addresses that this process holds bound without listening. Needs the right to trace it."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return []
    try:
        names = os.listdir(f"/proc/{pid}/fd")
        return [address for name in names for address in _held_port(pid, pidfd, int(name))]
    except (FileNotFoundError, ProcessLookupError):
        return []
    finally:
        os.close(pidfd)


def _held_port(pid: int, pidfd: int, descriptor: int) -> list[str]:
    try:
        if not os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:"):
            return []
        return _bound(syscalls.syscall(PIDFD_GETFD, pidfd, descriptor, 0))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EBADF, errno.ESRCH):  # closed or ended meanwhile
            return []
        raise


def _bound(descriptor: int) -> list[str]:
    with socket.socket(fileno=descriptor) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.type != socket.SOCK_STREAM:
            return []
        address = copy.getsockname()
        # A connection's local port is not one that is held for others to come.
        if not address[1] or copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSE:
            return []
        protocol = "tcp" if copy.family == socket.AF_INET else "tcp6"
        return [f"{protocol} {address[0]}:{address[1]}"]
