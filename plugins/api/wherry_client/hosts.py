"""Where an engine listens, as users write it: unix:///run/wherry.sock or tcp://host:2375."""

from __future__ import annotations

import os

from wherry_client.errors import HostInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN_PORT, TLS_PORT = "2375", "2376"
SOCKETS = ("/run/wherry.sock", "/var/run/docker.sock")


class Host:
    """An engine's address. `target` is what _socket.connect takes for unix, and (name, port) for tcp."""

    __slots__ = ("family", "target", "url")

    def __init__(self, url: str, family: str, target: str | tuple[str, int]) -> None:
        self.url = url
        self.family = family
        self.target = target


def parse_host(url: str, port: str = PLAIN_PORT) -> Host:
    """The Host that `url` means; `port` where it names none. Raises HostInvalid."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise HostInvalid(f"invalid host {url!r}: write unix:///PATH or tcp://HOST:PORT")
    if scheme == "unix" and rest:
        return Host(url, "unix", rest)
    if scheme in ("tcp", "http") and rest:
        return Host(url, "tcp", _tcp(url, rest.split("/", 1)[0], port))
    if scheme in ("ssh", "fd", "npipe", "https"):
        raise HostInvalid(f"invalid host {url!r}: {scheme}:// is not supported; write unix:///PATH or tcp://HOST:PORT")
    raise HostInvalid(f"invalid bind address format: {url}")


def find_host(given: str | None, environment: Mapping[str, str], port: str = PLAIN_PORT) -> Host:
    """The host given, else WHERRY_HOST, else DOCKER_HOST, else the first of SOCKETS that exists."""
    url = given or environment.get("WHERRY_HOST") or environment.get("DOCKER_HOST")
    if url:
        return parse_host(url, port)
    path = next((path for path in SOCKETS if os.path.exists(path)), SOCKETS[0])
    return Host(f"unix://{path}", "unix", path)


def _tcp(url: str, address: str, default: str) -> tuple[str, int]:
    name, _, port = address.rpartition(":") if not address.endswith("]") and ":" in address else (address, "", default)
    if not port.isdecimal() or int(port) > 65535:
        raise HostInvalid(f"invalid host {url!r}: {port!r} is not a port")
    return name.strip("[]") or "127.0.0.1", int(port)
