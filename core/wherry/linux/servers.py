"""File systems of servers: the kernel wants an address where people write a name."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence

from wherry.errors import Unavailable

# By type: the option that holds the address, and the server's name in the source. Source: nfs(5), mount.cifs(8).
_NFS, _CIFS = ("addr", re.compile(r"(\[[^]]+\]|[^:/]+):/")), ("ip", re.compile(r"//([^/]+)/"))
_KINDS = {"nfs": _NFS, "nfs4": _NFS, "cifs": _CIFS, "smb3": _CIFS}


def with_address(kind: str, source: str, options: Sequence[str]) -> Sequence[str]:
    """The options with the server's address in them, for the types that have a server; else as they are.

    Asks the resolver, which may take its time. Raises `Unavailable` if that does not know the name.
    """
    if kind not in _KINDS:
        return options
    key, pattern = _KINDS[kind]
    words = dict(option.partition("=")[::2] for option in options)
    found = pattern.match(source)
    server = words.get(key) or (found[1] if found else "")
    if not server:
        return options
    try:
        address = socket.getaddrinfo(server.strip("[]"), None, type=socket.SOCK_STREAM)[0][4][0]
    except socket.gaierror as error:
        message = f"the address of {server}, the server of {kind} {source}, is not known: {error.strerror}"
        raise Unavailable(message) from error
    return [*(option for option in options if option.partition("=")[0] != key), f"{key}={address}"]
