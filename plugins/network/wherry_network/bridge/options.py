"""The options of a bridge network, under the keys that Docker's clients use."""

from __future__ import annotations

import ipaddress
import re

import attrs

from wherry.spec.network import option
from wherry.toolkit.units import boolean

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")


def interface_name(text: str) -> str:
    """A name that the kernel takes for an interface. Raises ValueError."""
    if not _NAME.fullmatch(text) or text in (".", ".."):
        raise ValueError("an interface's name has 1 to 15 letters, digits, dots, dashes or underscores")
    return text


def interface_prefix(text: str) -> str:
    """The start of an interface's name that leaves room for a number. Raises ValueError."""
    if len(interface_name(text)) > 12:
        raise ValueError("a prefix has at most 12 characters")
    return text


def mtu(text: str) -> int:
    """The size of a link's packets. Raises ValueError."""
    if not text.isdecimal() or not (int(text) == 0 or 68 <= int(text) <= 65535):
        raise ValueError("an MTU is a number from 68 to 65535")
    return int(text)


def address(text: str) -> str:
    """An IPv4 address. Raises ValueError."""
    return str(ipaddress.IPv4Address(text))


@attrs.frozen(kw_only=True)
class BridgeConfig:
    """What the engine's configuration can say to the driver."""

    integrate: bool = option(
        "firewall-integration",
        boolean,
        default=False,
        help="insert an accept, marked as this engine's, where another firewall drops forwarded packets",
    )
    forward: bool = option(
        "ip-forward",
        boolean,
        default=True,
        help="switch the forwarding of packets on (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding); without, whoever runs the host sees to it",
    )


@attrs.frozen(kw_only=True)
class BridgeOptions:
    """What `network create --opt` can set."""

    bridge_name: str = option(
        "com.docker.network.bridge.name", interface_name, default="", help="the bridge's name on the host"
    )
    icc: bool = option(
        "com.docker.network.bridge.enable_icc",
        boolean,
        default=True,
        help="let containers of this network talk to each other",
    )
    masquerade: bool = option(
        "com.docker.network.bridge.enable_ip_masquerade",
        boolean,
        default=True,
        help="give what leaves the network the host's address",
    )
    host_binding: str = option(
        "com.docker.network.bridge.host_binding_ipv4",
        address,
        default="0.0.0.0",
        help="the host's address for ports that are published without one",
    )
    default_bridge: bool = option(
        "com.docker.network.bridge.default_bridge",
        boolean,
        default=False,
        help="marks the network of containers that name none",
    )
    mtu: int = option("com.docker.network.driver.mtu", mtu, default=0, help="the MTU of bridge and interfaces")
    interface_prefix: str = option(
        "com.docker.network.container_iface_prefix",
        interface_prefix,
        default="eth",
        help="how interfaces are called in the containers, before their number",
    )
