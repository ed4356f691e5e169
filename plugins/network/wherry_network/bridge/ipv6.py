"""IPv6 on this host: whether its kernel has it, and what an interface needs that is to speak it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wherry.linux.namespaces import set_sysctl

SETTINGS = Path("/proc/sys/net/ipv6")  # not there after ipv6.disable=1
LEAST_MTU = 1280  # RFC 8200; the kernel takes IPv6 off a link that carries less
# Addresses are assigned and routes set by the engine, so that nothing has to be found out: no address waits for a second
# until nobody else is seen to have it (accept_dad), and no neighbour can lead packets elsewhere (accept_ra). Neighbours
# are told of an address that somebody else had before (ndisc_notify).
_SPEAKING = {"disable_ipv6": "0", "accept_dad": "0", "accept_ra": "0", "ndisc_notify": "1"}


def is_there() -> bool:
    """Whether this kernel has IPv6."""
    return SETTINGS.exists()


def is_among(prefixes: Iterable[str]) -> bool:
    """Whether one of these addresses or subnets is of IPv6."""
    return any(":" in prefix for prefix in prefixes)


def let_speak(interface: str) -> None:
    """Make an interface of this thread's network namespace take addresses of IPv6."""
    for name, value in _SPEAKING.items():
        set_sysctl(f"net/ipv6/conf/{interface}/{name}", value)
