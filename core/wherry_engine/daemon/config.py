"""wherryd's configuration, as flags and file have it together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from wherry.model.configs import Ulimit
from wherry.model.runtimes import RuntimeProgram
from wherry_engine.engine.default_bridge import DefaultBridge
from wherry_engine.engine.defaults import SHM_SIZE, Defaults

DEFAULT_FILE = Path("/etc/wherry/daemon.json")
CERTIFICATES = Path("/etc/wherry")


@attrs.frozen(kw_only=True)
class Tls:
    """The certificates to serve TLS with. With `verify` a client needs one that `ca` has signed."""

    verify: bool
    ca: Path
    cert: Path
    key: Path


@attrs.frozen(kw_only=True)
class Listening:
    """Where the API is to be served, and to whom."""

    hosts: Sequence[str]
    tls: Tls | None = None
    insecure_tcp: bool = False
    group: str = ""  # that may use unix sockets; "" is `docker`, else `wherry`, where there is one


@attrs.frozen(kw_only=True)
class Config:
    """What the daemon was told. `config_keys` says what each field means and how it is set."""

    # places
    data_root: Path = Path("/var/lib/wherry")
    exec_root: Path = Path("/run/wherry")
    pidfile: Path = Path("/run/wherry.pid")
    # clients
    hosts: tuple[str, ...] = ("unix:///run/wherry.sock",)
    group: str = ""
    insecure_tcp: bool = False
    tls: bool = False
    tlsverify: bool = False
    tlscacert: Path = CERTIFICATES / "ca.pem"
    tlscert: Path = CERTIFICATES / "cert.pem"
    tlskey: Path = CERTIFICATES / "key.pem"
    # the engine
    debug: bool = False
    log_level: str = "info"
    log_format: str = "text"
    labels: tuple[str, ...] = ()
    experimental: bool = False
    features: Mapping[str, bool] = attrs.field(factory=dict)
    live_restore: bool = True
    shutdown_timeout: int = 15  # s
    # drivers
    storage_driver: str = "overlay2"
    storage_opts: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # by driver
    drivers: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # CONFIG of drivers, by "family/name"
    preferred: Mapping[str, str] = attrs.field(factory=dict)  # distribution that owns a name, by "family/name"
    trusted: tuple[str, ...] = ()  # distributions whose observers may run in the engine
    # runtimes
    runtimes: Mapping[str, RuntimeProgram] = attrs.field(factory=dict)
    default_runtime: str = ""
    exec_opts: tuple[str, ...] = ()
    cgroup_parent: str = ""
    # containers that do not say otherwise
    log_driver: str = "json-file"
    log_opts: Mapping[str, str] = attrs.field(factory=dict)
    default_ulimits: tuple[Ulimit, ...] = ()
    default_shm_size: int = SHM_SIZE  # bytes
    default_ipc_mode: str = "private"
    default_cgroupns_mode: str = ""  # "" is what fits this host
    default_init: bool = False
    init_path: str = ""
    no_new_privileges: bool = False
    seccomp_profile: str = ""  # a path, "unconfined", or "" for the one of this engine
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    host_gateway_ip: str = ""
    # networks
    bridge: str = ""  # "none": there is no default network
    bip: str = ""
    fixed_cidr: str = ""
    default_gateway: str = ""
    mtu: int = 1500
    icc: bool = True
    ip: str = "0.0.0.0"
    ip_masq: bool = True
    ip_forward: bool = True
    iptables: bool = True
    ip6tables: bool = True
    userland_proxy: bool = True
    default_address_pools: tuple[tuple[str, int], ...] = ()  # (base, prefix length); () is the built-in ones
    default_network_opts: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # by driver
    firewall_integration: bool = False
    # registries
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5
    proxies: Mapping[str, str] = attrs.field(factory=dict)
    idle: tuple[str, ...] = ()  # the keys that are set and have no effect

    @property
    def defaults(self) -> Defaults:
        """What containers get that do not say otherwise."""
        return Defaults(
            log_driver=self.log_driver,
            log_opts=self.log_opts,
            ulimits=self.default_ulimits,
            shm_size=self.default_shm_size,
            ipc_mode=self.default_ipc_mode,
            cgroupns_mode=self.default_cgroupns_mode,
            init=self.default_init,
            no_new_privileges=self.no_new_privileges,
            network_mode="bridge" if self.default_bridge.enabled else "none",
        )

    @property
    def default_bridge(self) -> DefaultBridge:
        """The network of containers that name none."""
        return DefaultBridge(
            enabled=self.bridge != "none",
            bip=self.bip,
            fixed_cidr=self.fixed_cidr,
            default_gateway=self.default_gateway,
            mtu=self.mtu,
            icc=self.icc,
            masquerade=self.ip_masq,
            host_address=self.ip,
        )

    @property
    def driver_configs(self) -> Mapping[str, Mapping[str, str]]:
        """CONFIG of drivers, with the keys of the file that are a driver's."""
        bridge = {} if self.ip_forward else {"ip-forward": "false"}
        if self.firewall_integration:
            bridge["firewall-integration"] = "true"
        keys = {f"storage/{name}": options for name, options in self.storage_opts.items()}
        keys |= {"network/bridge": bridge} if bridge else {}
        return {name: {**self.drivers.get(name, {}), **keys.get(name, {})} for name in {**self.drivers, **keys}}

    @property
    def listening(self) -> Listening:
        """What of it concerns the API."""
        tls = None
        if self.tls or self.tlsverify:
            tls = Tls(verify=self.tlsverify, ca=self.tlscacert, cert=self.tlscert, key=self.tlskey)
        return Listening(hosts=self.hosts, tls=tls, insecure_tcp=self.insecure_tcp, group=self.group)
