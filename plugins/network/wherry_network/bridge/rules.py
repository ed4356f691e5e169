"""The text of an engine's nftables table: a fixed skeleton, and sets and maps that hold all that changes.

One engine has one table. Its chains judge only packets that come from or go to its own bridges, so several engines, or
dockerd, live side by side; where another's chain drops a packet, that counts, as nftables has it. An *element* is one
entry of a set or map: (set, key) and its value, "" in a set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from wherry.spec.network import Endpoint, Network, PortMapping, Unsupported
from wherry_network.bridge.options import BridgeOptions

Elements = Mapping[tuple[str, str], str]

# raw: a container must not reach what listens on the host's loopback, which route_localnet would let it.
# prerouting: 127.0.0.0/8 is published to this host alone, whatever route_localnet is on other interfaces.
# postrouting: what came from the host's loopback needs a source that can be answered; so does a container that reaches
# a container of its own network by a published port, since the answer would go around this host; the rest is leaving.
# forward: the order matters. An internal network takes part in nothing but itself, not even in published ports.
_SKELETON = """
table ip TABLE {
	set bridges { type ifname; }
	set subnets { type ipv4_addr; flags interval; }
	set subnet_br { type ipv4_addr . ifname; flags interval; }
	set internal { type ifname; }
	map icc { type ifname . ifname : verdict; }
	map pub_addr { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
	map pub_any { type inet_proto . inet_service : ipv4_addr . inet_service; }
	chain raw { type filter hook prerouting priority -300; policy accept;
		iifname @bridges ip daddr 127.0.0.0/8 drop
	}
	chain prerouting { type nat hook prerouting priority -100; policy accept;
		ip daddr != 127.0.0.0/8 fib daddr type local jump publish
	}
	chain output { type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}
	chain publish {
		dnat to ip daddr . meta l4proto . th dport map @pub_addr
		dnat to meta l4proto . th dport map @pub_any
	}
	chain postrouting { type nat hook postrouting priority 100; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		ct status dnat ip saddr . oifname @subnet_br masquerade
		ip saddr @subnets oifname != @bridges masquerade
	}
	chain forward { type filter hook forward priority 0; policy accept;
		iifname != @bridges oifname != @bridges accept
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname != @internal oifname != @internal ct status dnat accept
		iifname . oifname vmap @icc
		oifname @bridges drop
		iifname @internal drop
	}
}
"""


def table_name(instance: str) -> str:
    """The table of the engine with this id."""
    return "wherry_" + re.sub(r"\W", "_", instance, flags=re.ASCII)


def network_elements(network: Network, options: BridgeOptions, bridge: str) -> Elements:
    """What the table holds for a network."""
    name = f'"{bridge}"'
    found = {("bridges", name): "", ("icc", f"{name} . {name}"): "accept" if options.icc else "drop"}
    if network.internal:
        found["internal", name] = ""
    for subnet in network.subnets:
        found["subnet_br", f"{subnet} . {name}"] = ""
        if options.masquerade and not network.internal:
            found["subnets", subnet] = ""
    return found


def port_elements(endpoint: Endpoint, ports: Iterable[PortMapping], host_binding: str) -> Elements:
    """What the table holds for an endpoint's ports. Raises Unsupported for host addresses of IPv6."""
    found = {}
    for port in ports:
        host = port.host_address or host_binding
        if ":" in host:
            raise Unsupported(
                f"port {port.host_port}/{port.protocol} cannot be published on {host}: only IPv4 is, so far"
            )
        target = endpoint.addresses[0].partition("/")[0]
        key, value = f"{port.protocol} . {port.host_port}", f"{target} . {port.container_port}"
        if host == "0.0.0.0":
            found["pub_any", key] = value
        else:
            found["pub_addr", f"{host} . {key}"] = value
    return found


def describe(name: str, key: str) -> str:
    """An element's place, for people: "port 80/tcp of 0.0.0.0"."""
    words = key.split(" . ")
    if name == "pub_any":
        return f"port {words[1]}/{words[0]} of 0.0.0.0"
    if name == "pub_addr":
        return f"port {words[2]}/{words[1]} of {words[0]}"
    return f"{words[0]} ({name})"


def whole(table: str, parts: Iterable[Elements], *, dormant: bool = False) -> str:
    """The commands that replace the table by one with exactly these elements; without any, there is no table.

    A dormant one judges no packet.
    """
    elements = {key: value for part in parts for key, value in part.items()}
    text = f"add table ip {table}\ndelete table ip {table}\n"
    if elements:
        head = f"{table} {{\n\tflags dormant;" if dormant else f"{table} {{"
        text += _SKELETON.replace("TABLE {", head) + _add(table, elements)
    return text


def delta(table: str, old: Elements, new: Elements) -> str:
    """The commands that lead from the old elements to the new; "" when there is nothing to do."""
    gone = [key for key, value in old.items() if new.get(key) != value]
    fresh = {key: value for key, value in new.items() if old.get(key) != value}
    lines = [f"delete element ip {table} {name} {{ {', '.join(keys)} }}\n" for name, keys in _by_set(gone).items()]
    return "".join(lines) + _add(table, fresh)


def _add(table: str, elements: Elements) -> str:
    lines = []
    for name, keys in _by_set(list(elements)).items():
        entries = (f"{key} : {value}" if (value := elements[name, key]) else key for key in keys)
        lines.append(f"add element ip {table} {name} {{ {', '.join(entries)} }}\n")
    return "".join(lines)


def _by_set(keys: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, key in keys:
        grouped.setdefault(name, []).append(key)
    return grouped
