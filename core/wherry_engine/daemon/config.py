"""wherryd's configuration: the command line and a JSON file of Docker's keys, together."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Invalid

DEFAULT_FILE = Path("/etc/wherry/daemon.json")
LEVELS = ("debug", "info", "warn", "error", "fatal")


@attrs.frozen(kw_only=True)
class Config:
    """What the daemon was told."""

    data_root: Path = Path("/var/lib/wherry")
    exec_root: Path = Path("/run/wherry")
    hosts: tuple[str, ...] = ("unix:///run/wherry.sock",)
    pidfile: Path = Path("/run/wherry.pid")
    storage_driver: str = "overlay2"
    log_driver: str = "json-file"
    default_runtime: str = ""
    bip: str = ""
    log_level: str = "info"
    debug: bool = False
    insecure_tcp: bool = False
    drivers: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # CONFIG of drivers, by "family/name"
    preferred: Mapping[str, str] = attrs.field(factory=dict)  # distribution that owns a name, by "family/name"


# Keys of the file, with the field each sets and what its value must be.
KEYS: dict[str, tuple[str, type]] = {
    "data-root": ("data_root", str),
    "exec-root": ("exec_root", str),
    "hosts": ("hosts", list),
    "pidfile": ("pidfile", str),
    "storage-driver": ("storage_driver", str),
    "log-driver": ("log_driver", str),
    "default-runtime": ("default_runtime", str),
    "bip": ("bip", str),
    "log-level": ("log_level", str),
    "debug": ("debug", bool),
    "drivers": ("drivers", dict),
    "preferred-distributions": ("preferred", dict),
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
        help="Listen on unix:///PATH or tcp://ADDRESS:PORT; may be given several times (default unix:///run/wherry.sock).",
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
    add("--log-level", metavar="LEVEL", help=f"Log from this level on: {', '.join(LEVELS)} (default info).")
    add("--debug", "-D", action="store_true", default=None, help="Log everything and show debugging facts in `info`.")
    add(
        "--insecure-tcp",
        action="store_true",
        default=None,
        help="Allow tcp:// without TLS: whoever reaches the port is root on this host.",
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
    for key in ("data_root", "exec_root", "pidfile"):
        if key in merged:
            merged[key] = Path(merged[key]).absolute()
    if "hosts" in merged:
        merged["hosts"] = tuple(merged["hosts"])
    config = Config(**merged)
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
            faults.append(f"{key} must be a {KEYS[key][1].__name__}")
        else:
            values[KEYS[key][0]] = value
    if faults:
        raise Invalid(f"the configuration file {path}: {'; '.join(faults)}")
    return values
