"""Every key of the configuration: its name in the file, the flag that sets the same, how it is read and what it does.

The keys and their meaning are those of Docker's daemon.json, see its documentation, and a few of this engine's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import attrs

from wherry_engine.daemon import config_values as values
from wherry_engine.daemon.config_values import Reader, one_of, only

LEVELS = ("debug", "info", "warn", "error", "fatal")


class Form(Enum):
    """What a flag's words come to: the same as the file would hold."""

    ONE = auto()
    TRUTH = auto()
    NUMBER = auto()
    SEVERAL = auto()  # one word a time, the flag may be repeated
    PAIRS = auto()  # NAME=VALUE a time
    ULIMITS = auto()  # NAME=SOFT[:HARD] a time
    POOLS = auto()  # base=CIDR,size=LENGTH a time
    RUNTIMES = auto()  # NAME=PROGRAM a time


@attrs.frozen(kw_only=True)
class Key:
    """One key. Its flag is called as the key unless `flags` says otherwise; () is for the file alone."""

    name: str
    read: Reader
    help: str
    default: str = ""  # for people
    form: Form = Form.ONE
    metavar: str = "VALUE"
    flags: tuple[str, ...] | None = None
    field: str = ""  # of Config

    @property
    def sets(self) -> str:
        """The field of Config."""
        return self.field or self.name.replace("-", "_")

    @property
    def words(self) -> tuple[str, ...]:
        """The flags."""
        return (f"--{self.name}",) if self.flags is None else self.flags


_PLACES = (
    Key(name="data-root", read=values.path, metavar="DIR", default="/var/lib/wherry",
        help="Keep images, containers and volumes in this folder."),
    Key(name="exec-root", read=values.path, metavar="DIR", default="/run/wherry",
        help="Keep what a reboot may lose in this folder."),
    Key(name="pidfile", flags=("--pidfile", "-p"), read=values.path, metavar="FILE", default="/run/wherry.pid",
        help="Write the process id to this file. A process that is named there and lives is not replaced."),
)  # fmt: skip

_CLIENTS = (
    Key(name="hosts", flags=("--host", "-H"), read=values.texts, form=Form.SEVERAL, metavar="URL",
        default="unix:///run/wherry.sock",
        help="Listen on unix:///PATH, tcp://ADDRESS:PORT or fd:// (the sockets that systemd passes)."),
    Key(name="group", flags=("--group", "-G"), read=values.text, metavar="NAME", default="docker or wherry, if it exists",
        help="Let this group use unix sockets."),
    Key(name="tls", read=values.truth, form=Form.TRUTH, default="false",
        help="Serve tcp:// by TLS to any client; needs --insecure-tcp as well."),
    Key(name="tlsverify", read=values.truth, form=Form.TRUTH, default="false",
        help="Serve tcp:// by TLS, to clients whose certificate tlscacert has signed."),
    Key(name="tlscacert", read=values.path, metavar="FILE", default="/etc/wherry/ca.pem",
        help="Trust clients whose certificate this one has signed."),
    Key(name="tlscert", read=values.path, metavar="FILE", default="/etc/wherry/cert.pem",
        help="Show this certificate to clients."),
    Key(name="tlskey", read=values.path, metavar="FILE", default="/etc/wherry/key.pem", help="The key of that certificate."),
)  # fmt: skip

_ENGINE = (
    Key(name="debug", flags=("--debug", "-D"), read=values.truth, form=Form.TRUTH, default="false",
        help="Log everything and show debugging facts in `info`."),
    Key(name="log-level", flags=("--log-level", "-l"), read=one_of(*LEVELS), metavar="LEVEL", default="info",
        help=f"Log from this level on: {', '.join(LEVELS)}."),
    Key(name="log-format", read=one_of("text", "json"), metavar="FORMAT", default="text",
        help="Log lines for people (text), or one object of JSON a line (json)."),
    Key(name="labels", flags=("--label",), read=values.labels, form=Form.SEVERAL, metavar="KEY=VALUE",
        help="Show this label in `info`."),
    Key(name="experimental", read=values.truth, form=Form.TRUTH, default="false",
        help="Tell clients that this is an experimental engine; it has nothing more for that."),
    Key(name="features", read=values.features, flags=(),
        help="Docker's switches, of which none but `buildkit` can be on; that one changes nothing."),
    Key(name="live-restore", read=values.truth, form=Form.TRUTH, default="true",
        help="Let containers run on when the engine ends, or stop them."),
    Key(name="shutdown-timeout", read=values.number(0), form=Form.NUMBER, metavar="SECONDS", default="15",
        help="Kill the containers that have not ended after so long, where they are stopped with the engine."),
)  # fmt: skip

_DRIVERS = (
    Key(name="storage-driver", flags=("--storage-driver", "-s"), read=values.text, metavar="NAME", default="overlay2",
        help="Keep layers with this storage driver."),
    Key(name="storage-opts", flags=("--storage-opt",), read=values.storage_options, form=Form.SEVERAL, metavar="DRIVER.KEY=VALUE",
        help="Tell a storage driver this; docs/options.md lists what each understands."),
    Key(name="drivers", read=values.text_maps, flags=(),
        help='What drivers are told, by family and name: {"network/bridge": {...}}.'),
    Key(name="preferred-distributions", read=values.text_map, flags=(), field="preferred",
        help="Which distribution's driver a name means where several have it, by family and name."),
    Key(name="trusted-plugins", read=values.texts, flags=(), field="trusted",
        help="The distributions whose observers may run inside the engine."),
)  # fmt: skip

_RUNTIMES = (
    Key(name="runtimes", flags=("--add-runtime",), read=values.runtimes, form=Form.RUNTIMES, metavar="NAME=PROGRAM",
        help="Further OCI runtimes for `--runtime`, in the file with arguments: "
        '{"NAME": {"path": PROGRAM, "runtimeArgs": [...]}}. The file and the flag add up.'),
    Key(name="default-runtime", read=values.text, metavar="NAME", default="crun where it works, else runc",
        help="Run containers with this OCI runtime unless they ask for another."),
    Key(name="exec-opts", flags=("--exec-opt",), read=values.exec_options, form=Form.SEVERAL, metavar="NAME=VALUE",
        help="native.cgroupdriver=cgroupfs, which is what there is."),
    Key(name="cgroup-parent", read=values.cgroup_parent, metavar="GROUP", default="/",
        help="Make the engine's control groups below this one, so that its limits are for all containers together. "
        "A container's own --cgroup-parent counts instead."),
)  # fmt: skip

_CONTAINERS = (
    Key(name="log-driver", read=values.text, metavar="NAME", default="json-file",
        help="Log containers with this driver unless they ask for another."),
    Key(name="log-opts", flags=("--log-opt",), read=values.text_map, form=Form.PAIRS, metavar="NAME=VALUE",
        help="Give that log driver this option."),
    Key(name="default-ulimits", flags=("--default-ulimit",), read=values.ulimits, form=Form.ULIMITS, metavar="NAME=SOFT[:HARD]",
        help="Limit the processes of containers, unless they say otherwise."),
    Key(name="default-shm-size", read=values.bytes_of, metavar="SIZE", default="64m", help="The size of /dev/shm."),
    Key(name="default-ipc-mode", read=one_of("private", "shareable"), metavar="MODE", default="private",
        help="Whether others may join a container's IPC namespace: private or shareable."),
    Key(name="default-cgroupns-mode", read=one_of("private", "host"), metavar="MODE", default="private with cgroups version 2, else host",
        help="The control groups that containers see: their own (private) or the host's."),
    Key(name="init", read=values.truth, form=Form.TRUTH, field="default_init", default="false",
        help="Run an init in front of each container's program."),
    Key(name="init-path", read=values.text, metavar="FILE", default="tini-static, docker-init or catatonit, on PATH",
        help="The init of --init; it must be linked statically."),
    Key(name="no-new-privileges", read=values.truth, form=Form.TRUTH, default="false",
        help="Let no program in a container gain privileges."),
    Key(name="seccomp-profile", read=values.seccomp, metavar="FILE", default="builtin",
        help="The system calls that containers may make: a profile's file, builtin, or unconfined."),
    Key(name="dns", read=values.texts, form=Form.SEVERAL, metavar="ADDRESS",
        help="Let containers ask this DNS server unless they say otherwise."),
    Key(name="dns-search", read=values.texts, form=Form.SEVERAL, metavar="DOMAIN",
        help="Let containers search this domain unless they say otherwise."),
    Key(name="dns-opts", flags=("--dns-opt",), read=values.texts, form=Form.SEVERAL, metavar="OPTION",
        help="Let containers have this resolver option unless they say otherwise."),
    Key(name="host-gateway-ip", read=values.address, metavar="ADDRESS", default="the gateway of the default network",
        help="What `host-gateway` means in --add-host."),
)  # fmt: skip

_FIREWALL = (
    "this engine's rules are nftables', in a table of their own that changes nobody else's, and without them no port is "
    "published: leave it out; ip-masq and icc switch parts of them off"
)
_NETWORKS = (
    Key(name="bridge", flags=("--bridge", "-b"), read=values.bridge, metavar="none",
        help="`none`: there is no default network, and containers that name none get no network."),
    Key(name="bip", read=values.interface, metavar="CIDR", default="the first free address pool",
        help="Give the default network this gateway and subnet, as 172.17.0.1/16."),
    Key(name="fixed-cidr", read=values.subnet, metavar="CIDR",
        help="Give containers of the default network addresses from this part of its subnet."),
    Key(name="default-gateway", read=values.address, metavar="ADDRESS", default="that of bip",
        help="The gateway of containers of the default network; an address of the subnet of bip."),
    Key(name="mtu", read=values.mtu, form=Form.NUMBER, metavar="BYTES", default="1500", help="The MTU of the default network."),
    Key(name="icc", read=values.truth, form=Form.TRUTH, default="true",
        help="Let containers of the default network talk to each other."),
    Key(name="ip", read=values.address, metavar="ADDRESS", default="0.0.0.0",
        help="Publish ports of the default network on this address of the host unless they name one."),
    Key(name="ip-masq", read=values.truth, form=Form.TRUTH, default="true",
        help="Give what leaves the default network the host's address."),
    Key(name="ip-forward", read=values.truth, form=Form.TRUTH, default="true",
        help="Switch the forwarding of packets on (net.ipv4.ip_forward, and net.ipv6.conf.all.forwarding for IPv6); without, see to it yourself."),
    Key(name="iptables", read=only(True, _FIREWALL), form=Form.TRUTH, default="true", help=f"Nothing but true: {_FIREWALL}."),
    Key(name="ip6tables", read=only(True, _FIREWALL), form=Form.TRUTH, default="true", help="As iptables."),
    Key(name="userland-proxy", read=values.truth, form=Form.TRUTH, default="true",
        help="Either is the same here: published ports need no process, also on 127.0.0.1 and from their own network."),
    Key(name="default-address-pools", flags=("--default-address-pool",), read=values.pools, form=Form.POOLS,
        metavar="base=CIDR,size=LENGTH", default="Docker's",
        help="Take the subnets of networks that name none from this pool, each of this prefix length."),
    Key(name="default-network-opts", read=values.text_maps, flags=(),
        help='Options of new networks that do not say otherwise, by driver: {"bridge": {"com.docker.network.driver.mtu": "1400"}}.'),
    Key(name="firewall-integration", read=values.truth, flags=(), default="false",
        help="Insert a marked accept where another firewall drops forwarded packets."),
)  # fmt: skip

_YET = "Kept and shown in `info`; nothing pulls or pushes yet."
_REGISTRIES = (
    Key(name="registry-mirrors", flags=("--registry-mirror",), read=values.mirrors, form=Form.SEVERAL, metavar="URL", help=_YET),
    Key(name="insecure-registries", flags=("--insecure-registry",), read=values.insecure, form=Form.SEVERAL,
        metavar="HOST[:PORT]", help=_YET),
    Key(name="max-concurrent-downloads", read=values.number(1), form=Form.NUMBER, metavar="N", default="3",
        help="Kept; nothing pulls or pushes yet."),
    Key(name="max-concurrent-uploads", read=values.number(1), form=Form.NUMBER, metavar="N", default="5",
        help="Kept; nothing pulls or pushes yet."),
    Key(name="max-download-attempts", read=values.number(1), form=Form.NUMBER, metavar="N", default="5",
        help="Kept; nothing pulls or pushes yet."),
    Key(name="proxies", read=values.proxies, flags=(), help=f"http-proxy, https-proxy and no-proxy. {_YET}"),
)  # fmt: skip

SECTIONS: Mapping[str, tuple[Key, ...]] = {
    "Places": _PLACES,
    "Clients": _CLIENTS,
    "The engine": _ENGINE,
    "Drivers": _DRIVERS,
    "Runtimes": _RUNTIMES,
    "Containers that do not say otherwise": _CONTAINERS,
    "Networks": _NETWORKS,
    "Registries": _REGISTRIES,
}
KEYS: Mapping[str, Key] = {key.name: key for keys in SECTIONS.values() for key in keys}
# Accepted and said to do nothing, when they are set.
WITHOUT_EFFECT = frozenset(key.name for key in _REGISTRIES) | {
    "allow-nondistributable-artifacts",
    "deprecated-key-path",
}

_SWARM = "this engine is not part of a swarm"
_IPV4 = "the default network has IPv4 only"
_CONTAINERD = "this engine runs no containerd"
# Keys that Docker knows or knew and this engine does not, with what would work.
REFUSED: Mapping[str, str] = {
    "allow-direct-routing": "other hosts reach containers by their published ports",
    "api-cors-header": "put a proxy that adds the header in front of the API",
    "authorization-plugins": "there are none; let fewer people use the socket (group), or serve TLS (tlsverify)",
    "bip6": _IPV4,
    "bridge-accept-fwmark": "other hosts reach containers by their published ports",
    "builder": "this engine does not build images",
    "cdi-spec-dirs": "devices are given by --device alone",
    "cluster-advertise": "Docker has removed it too; leave it out",
    "cluster-store": "Docker has removed it too; leave it out",
    "cluster-store-opts": "Docker has removed it too; leave it out",
    "containerd": _CONTAINERD,
    "containerd-namespace": _CONTAINERD,
    "containerd-plugin-namespace": _CONTAINERD,
    "cpu-rt-period": "give each container its own --cpu-rt-period",
    "cpu-rt-runtime": "give each container its own --cpu-rt-runtime",
    "cri-containerd": _CONTAINERD,
    "default-gateway-v6": _IPV4,
    "default-init": "it is called init-path",
    "default-stop-timeout": "give each container its own --stop-timeout",
    "fixed-cidr-v6": _IPV4,
    "firewall-backend": "it is nftables; leave it out",
    "graph": "it is called data-root",
    "host-gateway-ips": "use host-gateway-ip, with one address of IPv4",
    "ipv6": _IPV4,
    "ip-forward-no-drop": "the policy of nobody else's chains is touched; leave it out",
    "metrics-addr": "read `docker stats` or the API",
    "min-api-version": "every version from 1.24 on is served",
    "network-control-plane-mtu": _SWARM,
    "network-diagnostic-port": _SWARM,
    "node-generic-resources": _SWARM,
    "nri-opts": _CONTAINERD,
    "raw-logs": "logs are never coloured; log-format chooses between text and json",
    "resolv-conf": "use dns, dns-search and dns-opts",
    "rootless": "the engine needs root",
    "selinux-enabled": "labels of SELinux are not set; leave it out",
    "swarm-default-advertise-addr": _SWARM,
    "swarm-raft-election-tick": _SWARM,
    "swarm-raft-heartbeat-tick": _SWARM,
    "userland-proxy-path": "there is no proxy program; leave it out",
    "userns-remap": "containers have the host's user ids; run them as another --user",
}
