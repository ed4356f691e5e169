"""How values of the configuration are read: from what JSON has, or a flag brought in the same form, to what is used.

Each reader raises ValueError with what would have been right.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wherry.model.configs import Ulimit
from wherry.model.runtimes import RuntimeProgram
from wherry.toolkit.units import size
from wherry_engine.engine.groups import group_path
from wherry_engine.engine.runtimes import PREFERENCE
from wherry_engine.engine.seccomp_files import section_of_file
from wherry_engine.engine.security import UNCONFINED

Reader = Callable[[Any], Any]
RUNTIME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError("it must be a text")
    return value


def truth(value: Any) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def only(accepted: bool, why: str) -> Reader:
    """A truth value of which this engine has one."""

    def read(value: Any) -> bool:
        if truth(value) is not accepted:
            raise ValueError(f"{str(value).lower()} is not supported: {why}")
        return accepted

    return read


def number(least: int) -> Reader:
    """A whole number, from this one on."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"it must be a whole number, {least} or more")
        return value

    return read


def one_of(*words: str) -> Reader:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"it must be one of {', '.join(words)}, not {value!r}")
        return str(value)

    return read


def path(value: Any) -> Path:
    """A path; a relative one starts where the engine was started."""
    return Path(text(value)).absolute()


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError('it must be a list of texts, as in ["one", "two"]')
    return tuple(value)


def table(value: Any) -> Mapping[str, Any]:
    """An object of JSON."""
    if not isinstance(value, dict):
        raise ValueError("it must be an object")
    return value


def text_map(value: Any) -> Mapping[str, str]:
    """An object whose values are texts."""
    if bad := [name for name, each in table(value).items() if not isinstance(each, str)]:
        raise ValueError(f'the values must be texts, as in {{"max-file": "3"}}; {", ".join(bad)} is not')
    return dict(value)


def text_maps(value: Any) -> Mapping[str, Mapping[str, str]]:
    """An object of objects whose values are texts."""
    return {name: text_map(each) for name, each in table(value).items()}


def address(value: Any) -> str:
    """An IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(text(value)))
    except ValueError as error:
        raise ValueError(f"it must be an IPv4 address, not {value!r}") from error


def bridge(value: Any) -> str:
    """`none` is the one name there can be."""
    if value not in ("", "none"):
        raise ValueError(
            f"{value!r} is not supported: the engine makes the bridge of its default network itself; use none, or a network "
            f"of your own (docker network create -o com.docker.network.bridge.name={value})"
        )
    return str(value)


def mtu(value: Any) -> int:
    """What the kernel takes."""
    if not 68 <= number(0)(value) <= 65535:
        raise ValueError("it must be a number from 68 to 65535")
    return int(value)


def cgroup_parent(value: Any) -> str:
    """A control group's path, "" for the topmost."""
    return group_path(text(value))


def subnet(value: Any) -> str:
    """An IPv4 subnet."""
    try:
        return str(ipaddress.IPv4Network(text(value)))
    except ValueError as error:
        raise ValueError(f"it must be an IPv4 subnet, as 172.20.0.0/16, not {value!r}") from error


def interface(value: Any) -> str:
    """An IPv4 address with its subnet's length."""
    try:
        found = ipaddress.IPv4Interface(text(value))
    except ValueError as error:
        raise ValueError(f"write an IPv4 address with its prefix, as 172.17.0.1/16, not {value!r}") from error
    if "/" not in value or found.ip in (found.network.network_address, found.network.broadcast_address):
        raise ValueError(f"write an IPv4 address with its prefix, as 172.17.0.1/16, not {value!r}")
    return str(found)


def pools(value: Any) -> tuple[tuple[str, int], ...]:
    """Docker's form of address pools."""
    form = '[{"base": "10.10.0.0/16", "size": 24}]'
    try:
        found = tuple((subnet(each["base"]), number(1)(each["size"])) for each in value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"it must be a list as {form}") from error
    for base, length in found:
        if not int(base.rpartition("/")[2]) <= length <= 30:
            raise ValueError(f"subnets of size {length} do not fit into {base}; a size is the length of their prefix")
    return found


def ulimits(value: Any) -> tuple[Ulimit, ...]:
    """Docker's form: a name, and an object with Soft and Hard."""
    try:
        return tuple(Ulimit(name=name, soft=int(each["Soft"]), hard=int(each["Hard"])) for name, each in value.items())
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError('each is {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}}') from error


def bytes_of(value: Any) -> int:
    """A size, as a number of bytes or as a text such as 64m."""
    return value if isinstance(value, int) and not isinstance(value, bool) else size(text(value))


def labels(value: Any) -> tuple[str, ...]:
    """KEY=VALUE each, and one value a key."""
    found: dict[str, str] = {}
    for label in texts(value):
        key, separator, _ = label.partition("=")
        if not (key and separator):
            raise ValueError(f"bad attribute format: {label}; a label is KEY=VALUE")
        if found.setdefault(key, label) != label:
            raise ValueError(f"conflict labels for {found[key]} and {label}: a key has one value")
    return tuple(found.values())


def runtimes(value: Any) -> Mapping[str, RuntimeProgram]:
    """Docker's form: {"NAME": {"path": PROGRAM, "runtimeArgs": [...]}}."""
    found = {}
    for name, given in table(value).items():
        if name in PREFERENCE:
            raise ValueError(f"runtime name '{name}' is reserved: choose another")
        if not RUNTIME_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a runtime: use letters, digits, dots, dashes, underscores")
        if others := sorted(set(table(given)) - {"path", "runtimeArgs"}):
            raise ValueError(
                f"{', '.join(others)} of {name} is not supported: OCI runtimes are run by their path and runtimeArgs"
            )
        if not text(given.get("path", "")):
            raise ValueError(f"{name} needs the path of an OCI runtime's program")
        found[name] = RuntimeProgram(given["path"], texts(given.get("runtimeArgs", [])))
    return found


def mirrors(value: Any) -> tuple[str, ...]:
    """URLs of registries, which end with a slash here."""
    for url in texts(value):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f'invalid mirror: "{url}": write http:// or https:// and a host')
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError(f'invalid mirror: "{url}": no user, path, query or fragment may follow the host')
    return tuple(url.rstrip("/") + "/" for url in value)


def insecure(value: Any) -> tuple[str, ...]:
    """Registries as HOST, HOST:PORT or a CIDR."""
    for each in texts(value):
        if "://" in each:
            raise ValueError(f"insecure registry {each} should not contain '://': write HOST:PORT")
        if not each or (each.count("/") and not _is_subnet(each)):
            raise ValueError(f"insecure registry {each!r} is not valid: write HOST, HOST:PORT or a CIDR")
    return tuple(value)


def _is_subnet(value: str) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


def storage_options(value: Any) -> Mapping[str, Mapping[str, str]]:
    """DRIVER.KEY=VALUE each, to the driver's values by its name."""
    found: dict[str, dict[str, str]] = {}
    for each in texts(value):
        name, separator, setting = each.partition("=")
        driver, dot, key = name.partition(".")
        if not (separator and dot and driver and key):
            raise ValueError(f"{each!r} must be DRIVER.KEY=VALUE, as overlay2.size=10g")
        found.setdefault(driver, {})[key] = setting
    return found


def exec_options(value: Any) -> tuple[str, ...]:
    """native.cgroupdriver=cgroupfs is what there is."""
    for each in texts(value):
        name, _, setting = each.partition("=")
        if name != "native.cgroupdriver":
            raise ValueError(f"unknown option {name}: there is native.cgroupdriver")
        if setting != "cgroupfs":
            raise ValueError(f"native.cgroupdriver={setting} is not supported: use native.cgroupdriver=cgroupfs")
    return tuple(value)


def seccomp(value: Any) -> str:
    """`builtin` ("" here), `unconfined`, or the path of a profile, which must be one."""
    if value in ("", "builtin"):
        return ""
    if value == UNCONFINED:
        return UNCONFINED
    where = path(value)
    try:
        section_of_file(where.read_text(), ())
    except OSError as error:
        raise ValueError(f"the profile {where} cannot be read: {error.strerror}") from error
    return str(where)


def features(value: Any) -> Mapping[str, bool]:
    """Switches of Docker's; those that would make something else of this engine cannot be on."""
    for name, on in table(value).items():
        if truth(on) and name != "buildkit":
            raise ValueError(f"{name} cannot be switched on: this engine has no such feature; leave it out")
    return dict(value)


def proxies(value: Any) -> Mapping[str, str]:
    """The proxies for registries."""
    known = ("http-proxy", "https-proxy", "no-proxy")
    if others := sorted(set(table(value)) - set(known)):
        raise ValueError(f"{', '.join(others)} is unknown: there are {', '.join(known)}")
    return text_map(value)
