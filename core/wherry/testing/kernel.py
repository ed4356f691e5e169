"""What is in the kernel now, kind by kind: each probe returns {key: description}.

A key is the same for the same thing in two ledgers, whatever order things are listed in; things that cannot be told
apart are numbered. A probe only reads. Things that vanish while they are read count as gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from wherry.linux import syscalls

CLONE_NEWNET = 0x40000000
NFT_VOLATILE = ("handle", "packets", "bytes")
SYSCTLS = (
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/conf/default/route_localnet",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/conf/all/accept_local",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv6/conf/all/disable_ipv6",
    "net/ipv6/conf/default/disable_ipv6",
    "net/bridge/bridge-nf-call-iptables",
    "net/netfilter/nf_conntrack_max",
)

Found = dict[str, str]


def numbered(names: Iterable[str]) -> Found:
    """Every name as key and description; the second of two equal ones is `NAME (#2)`."""
    seen: Counter[str] = Counter()
    found = {}
    for name in names:
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name} (#{seen[name]})"] = ""
    return found


def mount_table() -> list[tuple[str, str, str, str]]:
    """(target, file system, source, root) of each mount of our mount namespace."""
    rows = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, source) = left.split(" "), right.split(" ")[:2]
        rows.append((unescape(fields[4]), kind, unescape(source), unescape(fields[3])))
    return rows


def unescape(text: str) -> str:
    """Undo the octal escapes of /proc/PID/mountinfo."""
    return text if "\\" not in text else text.encode("latin-1").decode("unicode_escape")


def mounts() -> Found:
    """The mounts of our mount namespace."""
    return numbered(f"{target} ({kind} from {source})" for target, kind, source, _ in mount_table())


def bound_namespaces() -> list[str]:
    """The paths on which a network namespace is bound, and the files of /run/netns."""
    bound = {target for target, kind, _, root in mount_table() if kind == "nsfs" and root.startswith("net:")}
    return sorted(bound.union(map(str, Path("/run/netns").glob("*"))))


def namespaces() -> Found:
    """Network namespaces that have a name."""
    return numbered(bound_namespaces())


def links() -> Found:
    """Network interfaces of our network namespace and of each that has a name."""
    names = [f"{name} (of the host)" for name in _link_names()]
    for path in bound_namespaces():
        names += [f"{name} (in {path})" for name in _inside(path, _link_names)]
    return numbered(names)


def _link_names() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _inside(path: str, read: Callable[[], list[str]]) -> list[str]:
    """What `read` returns in a thread that is in the network namespace bound at `path`; [] when there is none."""
    result: list[str] = []
    failures: list[OSError] = []

    def work() -> None:
        try:
            with open(path, "rb") as namespace:
                syscalls.call("setns", namespace.fileno(), CLONE_NEWNET)
            result.extend(read())
        except OSError as error:  # unbound meanwhile, or a plain file that `ip netns` left: no namespace, no links
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return [] if failures else result


def nft() -> Found:
    """Tables, chains, sets, maps, rules and elements of our network namespace. Needs the command nft."""
    done = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=True)
    names: list[str] = []
    for item in json.loads(done.stdout or '{"nftables": []}')["nftables"]:
        for kind, body in item.items():
            if kind != "metainfo":
                names.extend(_nft_names(kind, body))
    return numbered(names)


def _nft_names(kind: str, body: Mapping[str, Any]) -> list[str]:
    table = f"{body['family']} {body.get('table', body.get('name'))}"
    if kind == "table":
        return [f"table {table}"]
    if kind == "rule":
        return [f"rule of chain {body['chain']} in table {table}: {_stable(body.get('expr', []))}"]
    place = f"{kind} {body['name']} in table {table}" if "name" in body else f"{kind} in table {table}: {_stable(body)}"
    return [place, *(f"element {_stable(element)} of {place}" for element in body.get("elem", ()))]


def _stable(value: object) -> str:
    """A text of nft's JSON without handles and counters."""
    return json.dumps(_without_volatile(value), sort_keys=True)


def _without_volatile(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_volatile(inner) for key, inner in value.items() if key not in NFT_VOLATILE}
    if isinstance(value, list):
        return [_without_volatile(inner) for inner in value]
    return value


def cgroups() -> Found:
    """The directories of every cgroup hierarchy mounted below /sys/fs/cgroup."""
    return numbered(_cgroup_folders())


def populated_cgroups() -> frozenset[str]:
    """Those in which, or below which, there is a process."""
    found: set[str] = set()
    for folder in _cgroup_folders():
        with contextlib.suppress(OSError):  # it has been removed meanwhile
            if Path(folder, "cgroup.procs").read_bytes():
                found.update((folder, *map(str, Path(folder).parents)))
    return frozenset(found)


def _cgroup_folders() -> list[str]:
    names: list[str] = []
    for target, kind, _, _ in mount_table():
        if kind in ("cgroup", "cgroup2") and target.startswith("/sys/fs/cgroup"):
            names.extend(folder for folder, _, _ in os.walk(target))
    return names


def sysctls() -> Found:
    """The kernel settings that an engine could be tempted to change; ip_forward is exempt (it is never cleared)."""
    return {
        name.replace("/", "."): Path("/proc/sys", name).read_text().strip()
        for name in SYSCTLS
        if Path("/proc/sys", name).exists()
    }
