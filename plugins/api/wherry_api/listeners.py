"""Where the API listens: unix sockets, made and removed with care for what lies there already, and TCP on loopback."""

from __future__ import annotations

import contextlib
import errno
import grp
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from wherry.errors import Conflict, Forbidden, Invalid
from wherry.linux.steps import step
from wherry_engine.daemon.config import Listening

GROUPS = ("docker", "wherry")
MODE = 0o660
BACKLOG = 1024
_FIRST_PASSED = 3


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

    @property
    def tcp(self) -> bool:
        """Whether clients come over the network."""
        return self.socket.family != socket.AF_UNIX


def listen(listening: Listening) -> Iterator[Listener]:
    """Listen on each address in turn. Raises `Invalid`, `Forbidden` and `Conflict`."""
    for url in listening.hosts:
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.netloc == "" and parts.path.startswith("/"):
            yield _listen_unix(Path(parts.path), listening.group)
        elif parts.scheme == "tcp":
            _check_secure(url, listening)
            yield _listen_tcp(url, parts.hostname or "", parts.port, verified=_verified(listening))
        elif url == "fd://":
            yield from _passed(listening)
        else:
            raise Invalid(f"cannot listen on {url!r}: say unix:///PATH, tcp://ADDRESS:PORT or fd://")


def _verified(listening: Listening) -> bool:
    return listening.tls is not None and listening.tls.verify


def _check_secure(url: str, listening: Listening) -> None:
    if not _verified(listening) and not listening.insecure_tcp:
        raise Forbidden(
            f"{url}: whoever can connect over TCP without a certificate owns this host: "
            "set tlsverify, or allow it explicitly by insecure-tcp"
        )


def _passed(listening: Listening) -> Iterator[Listener]:
    """The sockets that systemd has bound for us; see sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise Invalid("cannot listen on fd://: no socket was passed; systemd passes those of wherry.socket")
    for fd in range(_FIRST_PASSED, _FIRST_PASSED + int(os.environ["LISTEN_FDS"])):
        os.set_inheritable(fd, False)
        listener = Listener(socket.socket(fileno=fd))
        if listener.tcp:
            _check_secure("fd://", listening)
        yield listener


def _listen_unix(path: Path, group: str) -> Listener:
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
            if (gid := _gid(group)) is not None:
                os.chown(draft, -1, gid)
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


def _gid(group: str) -> int | None:
    for name in [group] if group else GROUPS:
        with contextlib.suppress(KeyError):
            return grp.getgrnam(name).gr_gid
    if group:
        raise Invalid(f"the group {group}, which is to use the unix sockets, does not exist")
    return None


def _listen_tcp(url: str, host: str, port: int | None, *, verified: bool) -> Listener:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or port is None:
        raise Invalid(f"cannot listen on {url!r}: say tcp://ADDRESS:PORT")
    if not verified and not address.is_loopback:
        raise Forbidden(f"{url}: without tlsverify only a loopback address can be listened on")
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
