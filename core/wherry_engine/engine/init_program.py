"""The init that `--init` puts in front of a container's program: it passes signals on and reaps orphans.

It is a program of the host that is shown inside, and so must be linked statically: images need not have a libc.
"""

from __future__ import annotations

from wherry.errors import Invalid
from wherry.linux.programs import find
from wherry.model.configs import HostConfig

INSIDE = "/sbin/docker-init"
PROGRAMS = ("tini-static", "docker-init", "catatonit")


def wants_init(host: HostConfig) -> bool:
    """Whether one is to be in front; in a namespace of others there is one already."""
    return bool(host.init) and host.pid_mode in ("", "private")


def installed_init(configured: str) -> str:
    """The host's program, or the configured one; "" if it is not there."""
    return next(filter(None, map(find, (configured,) if configured else PROGRAMS)), "")


def find_init(configured: str) -> str:
    """The host's program, or the configured one. Raises `Invalid` if it is not there."""
    path = installed_init(configured)
    if not path and configured:
        raise Invalid(f"--init needs the program {configured} of init-path, and it is not on this host")
    if not path:
        raise Invalid(
            f"--init needs an init program on this host, one of {', '.join(PROGRAMS)}: install one "
            "(apt-get install tini), or run the container without --init"
        )
    return path
