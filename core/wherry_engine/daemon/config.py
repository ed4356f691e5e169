"""wherryd's configuration: the command line and a JSON file of Docker's keys, together."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Invalid
from wherry.model.configs import HostConfig, Ulimit
from wherry.toolkit.units import size
from wherry_engine.engine import resolv_conf
from wherry_engine.engine.defaults import SHM_SIZE, Defaults

DEFAULT_FILE = Path("/etc/wherry/daemon.json")
CERTIFICATES = Path("/etc/wherry")
LEVELS = ("debug", "info", "warn", "error", "fatal")


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
    """What the daemon was told."""

    data_root: Path = Path("/var/lib/wherry")
    exec_root: Path = Path("/run/wherry")
    hosts: tuple[str, ...] = ("unix:///run/wherry.sock",)
    pidfile: Path = Path("/run/wherry.pid")
    storage_driver: str = "overlay2"
    log_driver: str = "json-file"
    log_opts: Mapping[str, str] = attrs.field(factory=dict)
    default_ulimits: tuple[Ulimit, ...] = ()
    default_shm_size: int = SHM_SIZE  # bytes
    default_init: bool = False
    no_new_privileges: bool = False
    labels: tuple[str, ...] = ()
    default_runtime: str = ""
    bip: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    log_level: str = "info"
    debug: bool = False
    insecure_tcp: bool = False
    group: str = ""
    tls: bool = False
    tlsverify: bool = False
    tlscacert: Path = CERTIFICATES / "ca.pem"
    tlscert: Path = CERTIFICATES / "cert.pem"
    tlskey: Path = CERTIFICATES / "key.pem"
    firewall_integration: bool = False
    live_restore: bool = True
    shutdown_timeout: int = 15  # s
    drivers: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # CONFIG of drivers, by "family/name"
    preferred: Mapping[str, str] = attrs.field(factory=dict)  # distribution that owns a name, by "family/name"
    trusted: tuple[str, ...] = ()  # distributions whose observers may run in the engine

    @property
    def defaults(self) -> Defaults:
        """What containers get that do not say otherwise."""
        return Defaults(
            log_driver=self.log_driver,
            log_opts=self.log_opts,
            ulimits=self.default_ulimits,
            shm_size=self.default_shm_size,
            init=self.default_init,
            no_new_privileges=self.no_new_privileges,
        )

    @property
    def driver_configs(self) -> Mapping[str, Mapping[str, str]]:
        """CONFIG of drivers, with the keys of the file that are a driver's."""
        if not self.firewall_integration:
            return self.drivers
        bridge = {**self.drivers.get("network/bridge", {}), "firewall-integration": "true"}
        return {**self.drivers, "network/bridge": bridge}

    @property
    def listening(self) -> Listening:
        """What of it concerns the API."""
        tls = None
        if self.tls or self.tlsverify:
            tls = Tls(verify=self.tlsverify, ca=self.tlscacert, cert=self.tlscert, key=self.tlskey)
        return Listening(hosts=self.hosts, tls=tls, insecure_tcp=self.insecure_tcp, group=self.group)


# Keys of the file, with the field each sets and what its value must be.
KEYS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "data-root": ("data_root", str),
    "exec-root": ("exec_root", str),
    "hosts": ("hosts", list),
    "pidfile": ("pidfile", str),
    "storage-driver": ("storage_driver", str),
    "log-driver": ("log_driver", str),
    "log-opts": ("log_opts", dict),
    "default-ulimits": ("default_ulimits", dict),
    "default-shm-size": ("default_shm_size", (int, str)),
    "init": ("default_init", bool),
    "no-new-privileges": ("no_new_privileges", bool),
    "labels": ("labels", list),
    "default-runtime": ("default_runtime", str),
    "bip": ("bip", str),
    "dns": ("dns", list),
    "dns-search": ("dns_search", list),
    "dns-opts": ("dns_opts", list),
    "log-level": ("log_level", str),
    "debug": ("debug", bool),
    "group": ("group", str),
    "tls": ("tls", bool),
    "tlsverify": ("tlsverify", bool),
    "tlscacert": ("tlscacert", str),
    "tlscert": ("tlscert", str),
    "tlskey": ("tlskey", str),
    "firewall-integration": ("firewall_integration", bool),
    "live-restore": ("live_restore", bool),
    "shutdown-timeout": ("shutdown_timeout", int),
    "drivers": ("drivers", dict),
    "preferred-distributions": ("preferred", dict),
    "trusted-plugins": ("trusted", list),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="wherryd", description="The Wherry container engine.", allow_abbrev=False)
    add = result.add_argument
    add("--data-root", metavar="DIR", help="Keep images, containers and volumes in DIR (default /var/lib/wherry).")
    add("--exec-root", metavar="DIR", help="Keep what a reboot may lose in DIR (default /run/wherry).")
    add(
        "-H",
        "--host",
        dest="hosts",
        metavar="URL",
        action="append",
        help="Listen on unix:///PATH, tcp://ADDRESS:PORT or fd:// (the sockets that systemd passes); may be given several "
        "times (default unix:///run/wherry.sock).",
    )
    add(
        "--config-file",
        metavar="FILE",
        help=f"Read the configuration from FILE (default {DEFAULT_FILE}, if it is there).",
    )
    add("--pidfile", metavar="FILE", help="Write the process id to FILE (default /run/wherry.pid).")
    add("--storage-driver", metavar="NAME", help="Keep layers with this storage driver (default overlay2).")
    add(
        "--log-driver",
        metavar="NAME",
        help="Log containers with this driver unless they ask for another (default json-file).",
    )
    add(
        "--default-runtime",
        metavar="NAME",
        help="Run containers with this OCI runtime unless they ask for another (default: crun where it works, else runc).",
    )
    add("--bip", metavar="CIDR", help="Give the default bridge this address, as 172.17.0.1/16.")
    for flag, field, metavar, what in (
        ("--dns", "dns", "ADDRESS", "ask this DNS server"),
        ("--dns-search", "dns_search", "DOMAIN", "search this domain"),
        ("--dns-opt", "dns_opts", "OPTION", "have this resolver option"),
    ):
        text = f"Let containers {what} unless they say otherwise; may be given several times."
        add(flag, dest=field, metavar=metavar, action="append", help=text)
    add("--log-level", metavar="LEVEL", help=f"Log from this level on: {', '.join(LEVELS)} (default info).")
    add(
        "--live-restore",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="Let containers run on when the engine ends (default), or stop them.",
    )
    add(
        "--shutdown-timeout",
        metavar="SECONDS",
        type=int,
        help="Kill the containers that have not ended after so long, where they are stopped with the engine (default 15).",
    )
    add("--debug", "-D", action="store_true", default=None, help="Log everything and show debugging facts in `info`.")
    add(
        "--tlsverify",
        action="store_true",
        default=None,
        help="Serve tcp:// by TLS, to clients whose certificate --tlscacert has signed.",
    )
    add(
        "--tls",
        action="store_true",
        default=None,
        help="Serve tcp:// by TLS to any client; needs --insecure-tcp as well.",
    )
    add(
        "--tlscacert",
        metavar="FILE",
        help="Trust clients whose certificate this one has signed (default /etc/wherry/ca.pem).",
    )
    add("--tlscert", metavar="FILE", help="Show this certificate to clients (default /etc/wherry/cert.pem).")
    add("--tlskey", metavar="FILE", help="The key of that certificate (default /etc/wherry/key.pem).")
    add(
        "--group",
        "-G",
        metavar="NAME",
        help="Let this group use unix sockets (default docker or wherry, if it exists).",
    )
    add(
        "--insecure-tcp",
        action="store_true",
        default=None,
        help="Allow tcp:// to clients that show no certificate: whoever reaches the port is root on this host.",
    )
    return result  # fmt: skip


def load(arguments: Sequence[str]) -> Config:
    """The configuration from these arguments and the file. Raises `Invalid` with every fault of the file."""
    given = vars(parser().parse_args(arguments))
    path = given.pop("config_file")
    if path and not Path(path).exists():
        raise Invalid(f"the configuration file {path} does not exist")
    file = Path(path) if path else DEFAULT_FILE
    values = read_file(file) if file.exists() else {}
    flags = {key: value for key, value in given.items() if value is not None}
    if both := sorted(set(flags) & set(values)):
        raise Invalid(f"{', '.join(both)}: set both as a flag and in {file}; say it in one place")
    merged = {**values, **flags}
    for key in ("data_root", "exec_root", "pidfile", "tlscacert", "tlscert", "tlskey"):
        if key in merged:
            merged[key] = Path(merged[key]).absolute()
    for key in ("hosts", "trusted", "dns", "dns_search", "dns_opts", "labels"):
        if key in merged:
            merged[key] = tuple(map(str, merged[key]))
    config = Config(**merged)
    asked = HostConfig(dns=config.dns, dns_search=config.dns_search, dns_options=config.dns_opts)
    if faults := list(resolv_conf.faults(asked)):
        raise Invalid("; ".join(faults))
    if config.log_level not in LEVELS:
        raise Invalid(f"log-level {config.log_level!r} is unknown; use one of {', '.join(LEVELS)}")
    return config


def read_file(path: Path) -> dict[str, Any]:
    """The fields that a configuration file sets."""
    try:
        raw = json.loads(path.read_text() or "{}")
    except (OSError, ValueError) as error:
        raise Invalid(f"the configuration file {path} cannot be read: {error}") from error
    if not isinstance(raw, dict):
        raise Invalid(f"the configuration file {path} must hold one JSON object")
    faults = []
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in KEYS:
            faults.append(f"unknown key {key}; known are {', '.join(sorted(KEYS))}")
        elif not isinstance(value, KEYS[key][1]):
            faults.append(f"{key} must be a {_named(KEYS[key][1])}")
        else:
            try:
                values[KEYS[key][0]] = _READ.get(key, _as_it_is)(value)
            except ValueError as error:
                faults.append(f"{key}: {error}")
    if faults:
        raise Invalid(f"the configuration file {path}: {'; '.join(faults)}")
    return values


def _named(kind: type | tuple[type, ...]) -> str:
    return kind.__name__ if isinstance(kind, type) else " or ".join(each.__name__ for each in kind)


def _as_it_is(value: Any) -> Any:
    return value


def _texts(value: Mapping[str, Any]) -> Mapping[str, str]:
    if bad := [name for name, each in value.items() if not isinstance(each, str)]:
        raise ValueError(f'the values must be texts, as in {{"max-file": "3"}}; {", ".join(bad)} is not')
    return value


def _ulimits(value: Mapping[str, Any]) -> tuple[Ulimit, ...]:
    """Docker's form: a name, and an object with Soft and Hard."""
    try:
        return tuple(Ulimit(name=name, soft=int(each["Soft"]), hard=int(each["Hard"])) for name, each in value.items())
    except (KeyError, TypeError) as error:
        raise ValueError('each is {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}}') from error


def _shm_size(value: int | str) -> int:
    return value if isinstance(value, int) else size(value)


_READ: dict[str, Callable[[Any], Any]] = {
    "default-shm-size": _shm_size,
    "default-ulimits": _ulimits,
    "log-opts": _texts,
}
