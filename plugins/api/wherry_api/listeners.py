"""Where the API listens: unix sockets, made and removed with care for what lies there already, and TCP on loopback."""

from __future__ import annotations

import contextlib
import errno
import grp
import ipaddress
import os
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from wherry.errors import Conflict, Forbidden, Invalid
from wherry.linux.steps import step

GROUPS = ("docker", "wherry")
MODE = 0o660
BACKLOG = 1024


@attrs.frozen(eq=False)
class Listener:
    """A listening socket, with the file that it has made if it is a unix socket."""

    socket: socket.socket
    path: Path | None = None
    inode: int = 0

    def remove(self) -> None:
        """Remove the file, unless another process has put its own there meanwhile."""
        if self.path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            if self.path.lstat().st_ino == self.inode:
                with step("api.listen"):
                    self.path.unlink()


def listen(url: str, *, allow_insecure: bool = False) -> Listener:
    """Listen on unix:///PATH or tcp://HOST:PORT. Raises `Invalid`, `Forbidden` and `Conflict`."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.netloc == "" and parts.path.startswith("/"):
        return _listen_unix(Path(parts.path))
    if parts.scheme == "tcp":
        if not allow_insecure:
            raise Forbidden(
                f"{url}: whoever can connect over TCP without TLS owns this host; it must be allowed explicitly"
            )
        return _listen_tcp(url, parts.hostname or "", parts.port)
    raise Invalid(f"cannot listen on {url!r}: say unix:///PATH or tcp://127.0.0.1:PORT")


def _listen_unix(path: Path) -> Listener:
    """Bound under another name first, so that the socket has its owner and mode when it appears, and replaces a dead one."""
    with step("api.listen"):
        path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_taken(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with step("api.listen"):
            draft.unlink(missing_ok=True)
            server.bind(str(draft))
            os.chmod(draft, MODE)
            if (group := _group()) is not None:
                os.chown(draft, -1, group)
            server.listen(BACKLOG)
            os.rename(draft, path)
    except BaseException as error:
        server.close()
        with step("api.listen"):
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and "too long" in str(error):
            raise Invalid(f"the path of a unix socket must be shorter: {path}") from error
        raise
    return Listener(server, path, path.lstat().st_ino)


def _refuse_taken(path: Path) -> None:
    """Nothing but a socket that nobody listens on may be replaced."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Conflict(f"cannot listen on {path}: it exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        found = probe.connect_ex(str(path))
    if found in (0, errno.EAGAIN):  # EAGAIN: its queue is full, so somebody has it
        raise Conflict(f"cannot listen on {path}: another process is listening there")


def _group() -> int | None:
    for name in GROUPS:
        with contextlib.suppress(KeyError):
            return grp.getgrnam(name).gr_gid
    return None


def _listen_tcp(url: str, host: str, port: int | None) -> Listener:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or port is None:
        raise Invalid(f"cannot listen on {url!r}: say tcp://ADDRESS:PORT")
    if not address.is_loopback:
        raise Forbidden(f"{url}: without TLS only a loopback address can be listened on")
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with step("api.listen"):
            server.bind((host, port))
            server.listen(BACKLOG)
    except OSError as error:
        server.close()
        raise Conflict(f"cannot listen on {url}: {error.strerror}") from error
    return Listener(server)
