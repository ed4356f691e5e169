"""Messages with descriptors over local sockets: one JSON value a message, of any size, order and borders kept."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from wherry.linux.process import open_files

INLINE = 1 << 16  # a longer message travels in a memfd: the socket's buffer is 208 KiB by default
MAX_FDS = 253  # of one message: SCM_MAX_FD
_ROOM = INLINE + 16
_ACCEPTS = 0x10000  # __SO_ACCEPTCON of a socket's flags


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends that carry messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def listen(path: str) -> socket.socket:
    """A listener for messages at `path`, open to root alone; a dead socket that lies there is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(path: str) -> socket.socket:
    """A connection to the listener at `path`. Raises OSError (refused, not found) if nobody listens, BlockingIOError at once
    if those who have not been taken in yet are too many.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.setblocking(False)
        connection.connect(path)
        connection.setblocking(True)
    except BaseException:
        connection.close()
        raise
    return connection


def holders(path: str) -> set[int]:
    """The processes that hold a listener at `path`, of this network namespace. See proc_net_unix(5).

    One whose descriptors we may not see has more rights than we, and so is none that we have started.
    """
    with open("/proc/net/unix") as file:
        rows = [line.split() for line in file]
    links = {f"socket:[{row[6]}]" for row in rows if row[7:8] == [path] and int(row[3], 16) & _ACCEPTS}
    found: set[int] = set()
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with suppress(PermissionError):
            if not links.isdisjoint(open_files(pid)):
                found.add(pid)
    return found


def send(sock: socket.socket, message: object, fds: Sequence[int] = ()) -> None:
    """Send one message with these descriptors. Raises OSError if the peer is gone, BlockingIOError if it is full."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) <= INLINE:
        _send(sock, b" " + data, fds)
        return
    memory = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(memory, view) :]
        _send(sock, b"@", [memory, *fds])
    finally:
        os.close(memory)


def _send(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    if fds:
        socket.send_fds(sock, [data], list(fds), socket.MSG_NOSIGNAL)
    else:
        sock.send(data, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """The next message and its descriptors (close-on-exec); (None, []) at the end. BlockingIOError if there is none."""
    try:
        data, fds, _, _ = socket.recv_fds(sock, _ROOM, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # the peer died with mail unread; there may still be messages for us
        try:
            data, fds, _, _ = socket.recv_fds(sock, _ROOM, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None, []
    if not data:
        return None, []
    if data == b"@":
        with open(fds.pop(0), "rb") as memory:
            memory.seek(0)
            data = memory.read()
    return json.loads(data), fds
