"""The text of an engine's nftables tables: a fixed skeleton, and sets and maps that hold all that changes.

One engine has one table for IPv4, and one for IPv6 if a network of it speaks that; both look the same. Their chains judge
only packets that come from or go to its own bridges, so several engines, or dockerd, live side by side; where another's
chain drops a packet, that counts, as nftables has it. An *element* is one entry of a set or map: (family, set, key) and its
value, "" in a set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from wherry.spec.network import Endpoint, Network, PortMapping, Unsupported
from wherry_network.bridge.options import BridgeOptions

Place = tuple[str, str, str]
Elements = Mapping[Place, str]

FAMILIES = ("ip", "ip6")
ANYWHERE = ("0.0.0.0", "::")
_LOOPBACK = "::1"

# raw: a container must not reach what listens on the host's loopback, which route_localnet would let it.
# prerouting: 127.0.0.0/8 is published to this host alone, whatever route_localnet is on other interfaces.
# postrouting: what came from the host's loopback needs a source that can be answered; so does a container that reaches
# a container of its own network by a published port, since the answer would go around this host; the rest is leaving.
# forward: the order matters. An internal network takes part in nothing but itself, not even in published ports.
_SKELETON = """
table FAMILY TABLE {
	set bridges { type ifname; }
	set subnets { type ADDRESS; flags interval; }
	set subnet_br { type ADDRESS . ifname; flags interval; }
	set internal { type ifname; }
	map icc { type ifname . ifname : verdict; }
	map pub_addr { type ADDRESS . inet_proto . inet_service : ADDRESS . inet_service; }
	map pub_any { type inet_proto . inet_service : ADDRESS . inet_service; }
	chain raw { type filter hook prerouting priority -300; policy accept;
		iifname @bridges FAMILY daddr LOOPBACK drop
	}
	chain prerouting { type nat hook prerouting priority -100; policy accept;
		FAMILY daddr != LOOPBACK fib daddr type local jump publish
	}
	chain output { type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}
	chain publish {
		dnat to FAMILY daddr . meta l4proto . th dport map @pub_addr
		dnat to meta l4proto . th dport map @pub_any
	}
	chain postrouting { type nat hook postrouting priority 100; policy accept;
		oifname @bridges FAMILY saddr LOOPBACK masquerade
		ct status dnat FAMILY saddr . oifname @subnet_br masquerade
		FAMILY saddr @subnets oifname != @bridges masquerade
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
# IPv6 has no route_localnet: an answer to ::1 that comes from a bridge is dropped on arrival, under br_netfilter even one
# whose translation is undone. So what this host sends to its own ::1 gets the gateway's address before it is tracked, and
# the answer gets ::1 back when it has arrived; from a bridge nothing else can bear the source ::1.
_LOOPBACK_OF_IPV6 = """
table ip6 TABLE {
	map loopback { type inet_proto . inet_service : ipv6_addr; }
	chain ask { type filter hook output priority -300; policy accept;
		ip6 saddr ::1 ip6 daddr ::1 ip6 saddr set meta l4proto . th dport map @loopback
	}
	chain answer { type filter hook input priority 110; policy accept;
		iifname @bridges ip6 saddr ::1 ip6 daddr set ::1
	}
}
"""
_WORDS = {
    "ip": {"FAMILY": "ip", "ADDRESS": "ipv4_addr", "LOOPBACK": "127.0.0.0/8"},
    "ip6": {"FAMILY": "ip6", "ADDRESS": "ipv6_addr", "LOOPBACK": "::1"},
}


def table_name(instance: str) -> str:
    """The table of the engine with this id."""
    return "wherry_" + re.sub(r"\W", "_", instance, flags=re.ASCII)


def family_of(address: str) -> str:
    """The family whose table judges packets of this address or subnet."""
    return "ip6" if ":" in address else "ip"


def network_elements(network: Network, options: BridgeOptions, bridge: str) -> Elements:
    """What the tables hold for a network. One that does not speak IPv4 is known to that table as an internal one."""
    name = f'"{bridge}"'
    found: dict[Place, str] = {}
    for family in FAMILIES:
        subnets = [subnet for subnet in network.subnets if family_of(subnet) == family]
        if not subnets and family == "ip6":  # its bridge does not speak it
            continue
        closed = network.internal or not subnets
        found[family, "bridges", name] = ""
        found[family, "icc", f"{name} . {name}"] = "accept" if options.icc else "drop"
        if closed:
            found[family, "internal", name] = ""
        for subnet in subnets:
            found[family, "subnet_br", f"{subnet} . {name}"] = ""
            if options.masquerade and not closed:
                found[family, "subnets", subnet] = ""
    return found


def port_elements(network: Network, endpoint: Endpoint, ports: Iterable[PortMapping], host_binding: str) -> Elements:
    """What the tables hold for an endpoint's ports. Raises Unsupported for a host's address of an IP that it lacks."""
    found: dict[Place, str] = {}
    targets = {family_of(address): address.partition("/")[0] for address in reversed(endpoint.addresses)}
    gateways = {family_of(gateway): gateway for gateway in reversed(network.gateways) if gateway}
    for port in ports:
        host = port.host_address or host_binding
        family = family_of(host)
        if family not in targets:
            raise Unsupported(
                f"port {port.host_port}/{port.protocol} cannot be published on {host}: the container has no such address"
            )
        key, value = f"{port.protocol} . {port.host_port}", f"{targets[family]} . {port.container_port}"
        if host in ANYWHERE:
            found[family, "pub_any", key] = value
        else:
            found[family, "pub_addr", f"{host} . {key}"] = value
        if host in (_LOOPBACK, "::") and family in gateways:
            found[family, "loopback", key] = gateways[family]
    return found


def describe(place: Place) -> str:
    """An element's place, for people: "port 80/tcp of 0.0.0.0"."""
    family, name, key = place
    words = key.split(" . ")
    if name == "pub_any":
        return f"port {words[1]}/{words[0]} of {ANYWHERE[FAMILIES.index(family)]}"
    if name == "pub_addr":
        return f"port {words[2]}/{words[1]} of {words[0]}"
    return f"{words[0]} ({name})"


def whole(table: str, family: str, parts: Iterable[Elements], *, dormant: bool = False) -> str:
    """The commands that replace a family's table by one with exactly its elements; without any, there is no table.

    A dormant one judges no packet.
    """
    elements = {place: value for part in parts for place, value in part.items() if place[0] == family}
    text = f"add table {family} {table}\ndelete table {family} {table}\n"
    if elements:
        skeleton = _SKELETON + (_LOOPBACK_OF_IPV6 if family == "ip6" else "")
        for word, meaning in _WORDS[family].items():
            skeleton = skeleton.replace(word, meaning)
        head = f"{table} {{\n\tflags dormant;" if dormant else f"{table} {{"
        text += skeleton.replace("TABLE {", head) + _add(table, elements)
    return text


def delta(table: str, old: Elements, new: Elements) -> str:
    """The commands that lead from the old elements to the new; "" when there is nothing to do."""
    gone = [place for place, value in old.items() if new.get(place) != value]
    fresh = {place: value for place, value in new.items() if old.get(place) != value}
    lines = [
        f"delete element {family} {table} {name} {{ {', '.join(keys)} }}\n"
        for (family, name), keys in _by_set(gone).items()
    ]
    return "".join(lines) + _add(table, fresh)


def _add(table: str, elements: Elements) -> str:
    lines = []
    for (family, name), keys in _by_set(list(elements)).items():
        entries = (f"{key} : {value}" if (value := elements[family, name, key]) else key for key in keys)
        lines.append(f"add element {family} {table} {name} {{ {', '.join(entries)} }}\n")
    return "".join(lines)


def _by_set(places: Sequence[Place]) -> dict[tuple[str, str], list[str]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for family, name, key in places:
        grouped.setdefault((family, name), []).append(key)
    return grouped
