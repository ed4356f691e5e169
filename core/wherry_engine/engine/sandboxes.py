"""Sandboxes: the containers' network namespaces, and what the engine itself sets up in them."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from wherry.errors import NotFound
from wherry.linux import netlink
from wherry.linux.namespaces import create_netns, in_netns, is_netns, remove_netns
from wherry.model.networks import Attachment

# An interface without an IPv6 address has no IPv6 at all (::1 of the loopback stays); one that comes up with the address
# of a container that is gone tells its neighbours.
_SYSCTLS = {"ipv6/conf/default/disable_ipv6": "1", "ipv4/conf/default/arp_notify": "1"}


class Sandboxes:
    """One namespace for each container that has its own, under the exec root. Every call may be repeated."""

    def __init__(self, run_root: Path) -> None:
        self._folder = run_root / "netns"

    def path(self, container_id: str) -> Path:
        """Where the container's namespace is mounted."""
        return self._folder / container_id

    def create(self, container_id: str) -> None:
        """Make the namespace, with its loopback up."""
        create_netns(self.path(container_id), sysctls=_SYSCTLS)

    def has(self, container_id: str) -> bool:
        """Whether the container has a namespace now."""
        return is_netns(self.path(container_id))

    def open(self, container_id: str) -> int:
        """A descriptor of the namespace, to be closed by the caller. Raises NotFound."""
        if not self.has(container_id):
            raise NotFound(f"container {container_id} has no network namespace")
        return os.open(self.path(container_id), os.O_RDONLY | os.O_CLOEXEC)

    def configure(self, container_id: str, attachments: Sequence[tuple[str, Attachment]], order: Sequence[str]) -> None:
        """Install the routes that the attached networks want, and their first gateways of IPv4 and IPv6 as the defaults.

        `order` is of interfaces, as they are to lead out; without a gateway in any of those, nothing does.
        """
        by_interface = dict(attachments)
        gateways = [gateway for name in order if name in by_interface for gateway in by_interface[name].gateways]
        namespace = self.open(container_id)
        try:
            in_netns(namespace, lambda: _install(attachments, gateways))
        finally:
            os.close(namespace)

    def remove(self, container_id: str) -> None:
        """Let go of the namespace; the kernel ends it, and what is in it, when its last process is gone."""
        remove_netns(self.path(container_id))

    def list(self) -> Sequence[str]:
        """The ids of the containers that have one."""
        try:
            return sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return ()


def _install(attachments: Sequence[tuple[str, Attachment]], gateways: Sequence[str]) -> None:
    requests = []
    for interface, attachment in attachments:
        index = socket.if_nametoindex(interface) if attachment.routes else 0
        requests += [netlink.add_route(to, gateway=via, index=index) for to, via in attachment.routes]
    gateway = next((each for each in gateways if ":" not in each), "")
    requests.append(netlink.add_route("default", gateway=gateway) if gateway else netlink.delete_default_route())
    # A default route of IPv6 that has no successor has gone with its interface.
    gateway6 = next((each for each in gateways if ":" in each), "")
    requests += [netlink.add_route("default", gateway=gateway6)] if gateway6 else []
    netlink.execute(*requests)
