"""Docker's contexts: the engines that `docker context create` has given a name, read from docker's own folder.

A context is a folder named by the SHA-256 of its name; its certificates, if any, lie in another one beside it.
"""

from __future__ import annotations

import hashlib
import json
import os

from wherry_client.errors import HostInvalid
from wherry_client.tls import Tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Context:
    """Where an engine is, and how to secure the way to it."""

    __slots__ = ("host", "tls")

    def __init__(self, host: str, tls: Tls | None) -> None:
        self.host = host
        self.tls = tls


def read_context(name: str, environment: Mapping[str, str]) -> Context:
    """The context of that name. Raises HostInvalid if there is none, or it says nothing of an engine."""
    top = environment.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    folder = hashlib.sha256(name.encode()).hexdigest()
    try:
        with open(f"{top}/contexts/meta/{folder}/meta.json", encoding="utf-8") as file:
            endpoint = json.load(file)["Endpoints"]["docker"]
            host, verify = endpoint["Host"], not endpoint.get("SkipTLSVerify")
    except FileNotFoundError as error:
        raise HostInvalid(
            f'context "{name}": context not found in {top}/contexts; `docker context create` makes one, and '
            "`docker context ls` lists them"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostInvalid(f'context "{name}" in {top}/contexts cannot be used: {error}') from error
    certificates = f"{top}/contexts/tls/{folder}/docker"
    if verify and not os.path.isdir(certificates):
        return Context(host, None)
    ca, cert, key = (f"{certificates}/{each}.pem" for each in ("ca", "cert", "key"))
    return Context(host, Tls(verify=verify, ca=ca, cert=cert, key=key) if host.startswith("tcp://") else None)
