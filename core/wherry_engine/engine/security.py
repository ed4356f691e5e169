"""What a container may do: capabilities, seccomp, hidden and read-only paths. The defaults are Docker's, exactly."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

import attrs

from wherry.errors import Invalid
from wherry.linux.seccomp.default import default_section
from wherry.model.configs import HostConfig
from wherry.toolkit.units import boolean
from wherry_engine.engine.seccomp_files import section_of_file

# linux/capability.h, in the order of their numbers.
CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ]
)
DEFAULT_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
ALL = "ALL"

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_PROCESSORS = "/sys/devices/system/cpu"

UNCONFINED, BUILTIN = "unconfined", "builtin"


@attrs.frozen
class SecurityOptions:
    """What `--security-opt` says. `seccomp` is "", "unconfined", "builtin" or the text of a profile."""

    seccomp: str = ""
    no_new_privileges: bool = False


def parse_options(given: Iterable[str]) -> SecurityOptions:
    """`--security-opt`, each KEY=VALUE. Labels and AppArmor profiles are accepted and have no effect here.

    Raises `Invalid` for what is none of them.
    """
    seccomp, no_new_privileges = "", False
    for text in given:
        if text == "no-new-privileges":
            no_new_privileges = True
            continue
        key, separator, value = text.partition("=" if "=" in text else ":")
        if key == "no-new-privileges":
            try:
                no_new_privileges = boolean(value)
            except ValueError as error:
                raise Invalid(f'invalid --security-opt 2: "{text}"') from error
        elif key == "seccomp" and separator:
            seccomp = value
        elif not separator and text != "disable":
            raise Invalid(f'invalid --security-opt 1: "{text}"')
        elif key not in ("label", "apparmor", "disable"):
            raise Invalid(f'invalid --security-opt 2: "{text}"')
    return SecurityOptions(seccomp, no_new_privileges)


def normalize(names: Iterable[str]) -> tuple[str, ...]:
    """Capability names with CAP_ in upper case; ALL stays. Raises `Invalid` for an unknown one."""
    result = []
    for given in names:
        name = given.upper()
        if name == ALL:
            result.append(ALL)
            continue
        name = name if name.startswith("CAP_") else f"CAP_{name}"
        if name not in CAPABILITIES:
            raise Invalid(f'unknown capability: "{name}"')
        result.append(name)
    return tuple(result)


@lru_cache(maxsize=1)
def grantable() -> tuple[str, ...]:
    """The capabilities that this process has, which are all it can give."""
    with open("/proc/self/status") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return tuple(name for number, name in enumerate(CAPABILITIES) if mask >> number & 1)


def capabilities(host: HostConfig) -> tuple[str, ...]:
    """What a container is given. Raises `Invalid` for an unknown name."""
    if host.privileged:
        return grantable()
    added, dropped = normalize(host.cap_add or ()), normalize(host.cap_drop or ())
    if ALL in added:
        chosen: Collection[str] = [name for name in grantable() if name not in dropped]
    elif ALL in dropped:
        chosen = added
    else:
        chosen = [*(name for name in DEFAULT_CAPABILITIES if name not in dropped), *added]
    return tuple(dict.fromkeys(chosen))


def masked_paths(host: HostConfig) -> tuple[str, ...]:
    """Paths that show as empty in the container."""
    if host.masked_paths is not None:
        return host.masked_paths
    return () if host.privileged else _default_masked_paths()


def readonly_paths(host: HostConfig) -> tuple[str, ...]:
    """Paths of /proc that cannot be written in the container."""
    if host.readonly_paths is not None:
        return host.readonly_paths
    return () if host.privileged else READONLY_PATHS


@lru_cache(maxsize=1)
def _default_masked_paths() -> tuple[str, ...]:
    # How hot each processor ran tells of what other containers do on it.
    throttles = (
        f"{_PROCESSORS}/{name}/thermal_throttle"
        for name in os.listdir(_PROCESSORS)
        if name.startswith("cpu") and name[3:].isdecimal()
    )
    return (*_MASKED_PATHS, *sorted(path for path in throttles if os.path.isdir(path)))


def seccomp_section(
    host: HostConfig, options: SecurityOptions, granted: Collection[str], default: str = ""
) -> dict[str, Any] | None:
    """The OCI `linux.seccomp` section, None for no filter. Raises `Invalid` for a profile that cannot be read.

    `default` is what holds where the options say nothing, in their form.
    """
    chosen = options.seccomp or ("" if host.privileged else default)
    if chosen == UNCONFINED or (host.privileged and not chosen):
        return None
    if chosen in ("", BUILTIN):
        return default_section(granted)
    return section_of_file(chosen, granted)
